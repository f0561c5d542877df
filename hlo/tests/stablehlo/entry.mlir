module @entry attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 2 : i32, mhlo.frontend_attributes = {note = "a \22b\22"}} {
  func.func public @main(%x.y: tensor<4xf32> {mhlo.sharding = "{replicated}", tf.aliasing_output = 1 : i32}, %state: tensor<i32> {mhlo.sharding = "{replicated}", jax.buffer_donor = true}, %state.1: tensor<4xf32> {mhlo.sharding = "{devices=[2]<=[2]}", tf.aliasing_output = 0 : i32}) -> (tensor<4xf32> {mhlo.sharding = "{devices=[2]<=[2]}"}, tensor<4xf32> {mhlo.sharding = "{replicated}"}) {
    %a-b = func.call @main.1(%x.y) : (tensor<4xf32>) -> tensor<4xf32>
    %sum = "stablehlo.add"(%a-b, %state.1) {mhlo.frontend_attributes = {k = "v"}} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    "func.return"(%sum, %a-b) : (tensor<4xf32>, tensor<4xf32>) -> ()
  }
  func.func private @main.1(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = "stablehlo.negate"(%x) : (tensor<4xf32>) -> tensor<4xf32>
    "func.return"(%y) : (tensor<4xf32>) -> ()
  }
}
