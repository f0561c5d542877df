module @sharding attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%x: tensor<4xf32> {mhlo.sharding = "{maximal device=0}"}) -> (tensor<8xf32> {mhlo.sharding = "{replicated}"}, tensor<4xf32> {mhlo.sharding = "{maximal device=0}"}, tensor<f32> {mhlo.sharding = "{replicated}"}, tensor<i32> {mhlo.sharding = "{maximal device=1}"}) {
    %t = "stablehlo.after_all"() {mhlo.sharding = "{replicated}"} : () -> !stablehlo.token
    %one = "stablehlo.constant"() {mhlo.sharding = "{devices=[2]<=[2]}", mhlo.frontend_attributes = {k = "v"}, value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %pair = "stablehlo.constant"() {mhlo.sharding = "{replicated}", value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %pair.1 = "stablehlo.constant"() {mhlo.sharding = "{maximal device=1}", value = dense<2> : tensor<i32>} : () -> tensor<i32>
    %sent = "stablehlo.send"(%one, %t) {mhlo.sharding = "{maximal device=1}", is_host_transfer = false, channel_handle = #stablehlo.channel_handle<handle = 1, type = 1>} : (tensor<4xf32>, !stablehlo.token) -> !stablehlo.token
    %zero = "stablehlo.constant"() {value = dense<0> : tensor<ui32>} : () -> tensor<ui32>
    %got:2 = "stablehlo.recv"(%t) {mhlo.sharding = "{{maximal device=1}, {maximal device=0}}", is_host_transfer = false, channel_handle = #stablehlo.channel_handle<handle = 2, type = 1>} : (!stablehlo.token) -> (tensor<4xf32>, !stablehlo.token)
    %zero.1 = "stablehlo.constant"() {value = dense<0> : tensor<ui32>} : () -> tensor<ui32>
    %called = func.call @negated(%x) {mhlo.sharding = "{replicated}", mhlo.frontend_attributes = {inlineable = "false"}} : (tensor<4xf32>) -> tensor<4xf32>
    %started = "stablehlo.all_gather"(%called) {mhlo.sharding = "{devices=[2]<=[2]}", replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>, all_gather_dim = 0 : i64} : (tensor<4xf32>) -> tensor<8xf32>
    %begun = func.call @async_wrapped(%got#0) {mhlo.sharding = "{maximal device=0}"} : (tensor<4xf32>) -> tensor<4xf32>
    %zero.2 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    "func.return"(%started, %begun, %pair, %pair.1) : (tensor<8xf32>, tensor<4xf32>, tensor<f32>, tensor<i32>) -> ()
  }
  func.func private @async_wrapped(%async_param: tensor<4xf32>) -> tensor<4xf32> {
    %async_op = "stablehlo.negate"(%async_param) : (tensor<4xf32>) -> tensor<4xf32>
    "func.return"(%async_op) : (tensor<4xf32>) -> ()
  }
  func.func private @negated(%x: tensor<4xf32>) -> tensor<4xf32> {
    %n = "stablehlo.negate"(%x) {mhlo.sharding = "{replicated}"} : (tensor<4xf32>) -> tensor<4xf32>
    "func.return"(%n) : (tensor<4xf32>) -> ()
  }
}
