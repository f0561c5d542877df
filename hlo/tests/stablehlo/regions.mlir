module @regions attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%x: tensor<8xf32>, %p: tensor<i1>, %ids: tensor<3x1xi32>, %updates: tensor<3xf32>) -> (tensor<f32>, tensor<i32>, tensor<8xf32>, tensor<8xi32>) {
    %zero = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %start = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %k = "stablehlo.iota"() {iota_dimension = 0 : i64} : () -> tensor<8xi32>
    %placed = "stablehlo.scatter"(%x, %ids, %updates) ({
    ^bb0(%old: tensor<f32>, %new: tensor<f32>):
      "stablehlo.return"(%new) : (tensor<f32>) -> ()
    }) {indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, unique_indices = false} : (tensor<8xf32>, tensor<3x1xi32>, tensor<3xf32>) -> tensor<8xf32>
    %end:3 = "stablehlo.while"(%start, %placed, %k) ({
    ^bb0(%state: tensor<i32>, %state.1: tensor<8xf32>, %state.2: tensor<8xi32>):
      %three = "stablehlo.constant"() {value = dense<3> : tensor<i32>} : () -> tensor<i32>
      %below = "stablehlo.compare"(%state, %three) {comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<i32>, tensor<i32>) -> tensor<i1>
      "stablehlo.return"(%below) : (tensor<i1>) -> ()
    }, {
    ^bb0(%state.3: tensor<i32>, %state.4: tensor<8xf32>, %state.5: tensor<8xi32>):
      %one = "stablehlo.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
      %next = "stablehlo.add"(%state.3, %one) : (tensor<i32>, tensor<i32>) -> tensor<i32>
      %y = "stablehlo.negate"(%state.4) : (tensor<8xf32>) -> tensor<8xf32>
      %sorted:2 = "stablehlo.sort"(%y, %state.5) ({
      ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<i32>, %d: tensor<i32>):
        %is_less = "stablehlo.compare"(%a, %b) {comparison_direction = #stablehlo<comparison_direction LT>, compare_type = #stablehlo<comparison_type TOTALORDER>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
        "stablehlo.return"(%is_less) : (tensor<i1>) -> ()
      }) {dimension = 0 : i64, is_stable = true} : (tensor<8xf32>, tensor<8xi32>) -> (tensor<8xf32>, tensor<8xi32>)
      "stablehlo.return"(%next, %sorted#0, %sorted#1) : (tensor<i32>, tensor<8xf32>, tensor<8xi32>) -> ()
    }) : (tensor<i32>, tensor<8xf32>, tensor<8xi32>) -> (tensor<i32>, tensor<8xf32>, tensor<8xi32>)
    %chosen = "stablehlo.if"(%p) ({
      %sum = "stablehlo.reduce"(%x, %zero) ({
      ^bb0(%a.1: tensor<f32>, %b.1: tensor<f32>):
        %s = func.call @square(%b.1) : (tensor<f32>) -> tensor<f32>
        %sum.1 = "stablehlo.add"(%a.1, %s) : (tensor<f32>, tensor<f32>) -> tensor<f32>
        "stablehlo.return"(%sum.1) : (tensor<f32>) -> ()
      }) {dimensions = array<i64: 0>} : (tensor<8xf32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%sum) : (tensor<f32>) -> ()
    }, {
      %i = "stablehlo.constant"() {value = dense<2> : tensor<i32>} : () -> tensor<i32>
      %e = "stablehlo.dynamic_slice"(%x, %i) {slice_sizes = array<i64: 1>} : (tensor<8xf32>, tensor<i32>) -> tensor<1xf32>
      %scalar = "stablehlo.reshape"(%e) : (tensor<1xf32>) -> tensor<f32>
      "stablehlo.return"(%scalar) : (tensor<f32>) -> ()
    }) : (tensor<i1>) -> tensor<f32>
    "func.return"(%chosen, %end#0, %end#1, %end#2) : (tensor<f32>, tensor<i32>, tensor<8xf32>, tensor<8xi32>) -> ()
  }
  func.func private @square(%x: tensor<f32>) -> tensor<f32> {
    %p = "stablehlo.multiply"(%x, %x) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    "func.return"(%p) : (tensor<f32>) -> ()
  }
}
