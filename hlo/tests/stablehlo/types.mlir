module @types attributes {mhlo.num_partitions = 3 : i32, mhlo.num_replicas = 2 : i32} {
  func.func public @main(%table: tensor<4x8xbf16>, %counts: tensor<4x8xi32>, %rows: tensor<2xi32>, %row_counts: tensor<2x8xi32>, %updates: tensor<2x8xbf16>, %x: tensor<4xf32>, %mask: tensor<28x1x1xi1>, %signal: tensor<1x28x1xf32>, %six: tensor<6x8xbf16>, %truths: tensor<4xi1>, %state: tensor<2xui64>, %narrow: tensor<1x28x1xi8>, %half: tensor<28x1x1xbf16>) -> (tensor<4xi1>, tensor<4xui32>, tensor<1x28x1xbf16>, tensor<4x8xi32>, tensor<4x8xbf16>, tensor<4xf32>, tensor<4x8xbf16>, tensor<4xf32>, tensor<6x8xbf16>, tensor<1x28x1xf32>, tensor<4x4xf32>, tensor<4x8xi32>) {
    %converted = "stablehlo.convert"(%table) : (tensor<4x8xbf16>) -> tensor<4x8xf32>
    %converted.1 = "stablehlo.convert"(%updates) : (tensor<2x8xbf16>) -> tensor<2x8xf32>
    %scattered:2 = "stablehlo.scatter"(%counts, %converted, %rows, %row_counts, %converted.1) ({
    ^bb0(%a: tensor<i32>, %b: tensor<f32>, %c: tensor<i32>, %d: tensor<f32>):
      "stablehlo.return"(%c, %d) : (tensor<i32>, tensor<f32>) -> ()
    }) {indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, unique_indices = false} : (tensor<4x8xi32>, tensor<4x8xf32>, tensor<2xi32>, tensor<2x8xi32>, tensor<2x8xf32>) -> (tensor<4x8xi32>, tensor<4x8xf32>)
    %scattered.1 = "stablehlo.convert"(%scattered#1) : (tensor<4x8xf32>) -> tensor<4x8xbf16>
    %converted.2 = "stablehlo.convert"(%table) : (tensor<4x8xbf16>) -> tensor<4x8xf32>
    %several:2 = "stablehlo.all_reduce"(%x, %converted.2) ({
    ^bb0(%a.1: tensor<f32>, %b.1: tensor<f32>):
      %sum = "stablehlo.add"(%a.1, %b.1) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%sum) : (tensor<f32>) -> ()
    }) {replica_groups = dense<> : tensor<0x0xi64>} : (tensor<4xf32>, tensor<4x8xf32>) -> (tensor<4xf32>, tensor<4x8xf32>)
    %several.1 = "stablehlo.convert"(%several#1) : (tensor<4x8xf32>) -> tensor<4x8xbf16>
    %replicas = "stablehlo.all_to_all"(%x) {replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>, split_dimension = 0 : i64, concat_dimension = 0 : i64, split_count = 2 : i64} : (tensor<4xf32>) -> tensor<4xf32>
    %partitions = "stablehlo.all_to_all"(%six) {replica_groups = dense<[[0, 1, 2]]> : tensor<1x3xi64>, channel_handle = #stablehlo.channel_handle<handle = 1, type = 1>, split_dimension = 0 : i64, concat_dimension = 0 : i64, split_count = 3 : i64} : (tensor<6x8xbf16>) -> tensor<6x8xbf16>
    %converted.3 = "stablehlo.convert"(%mask) : (tensor<28x1x1xi1>) -> tensor<28x1x1xf32>
    %convolved = "stablehlo.convolution"(%signal, %converted.3) {batch_group_count = 1 : i64, dimension_numbers = #stablehlo.conv<[b, 0, f]x[0, i, o]->[b, 0, f]>, feature_group_count = 1 : i64, lhs_dilation = array<i64: 1>, padding = dense<[[13, 14]]> : tensor<1x2xi64>, rhs_dilation = array<i64: 1>, window_reversal = array<i1: false>, window_strides = array<i64: 1>} : (tensor<1x28x1xf32>, tensor<28x1x1xf32>) -> tensor<1x28x1xf32>
    %fast = "stablehlo.dot_general"(%table, %table) {dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [], rhs_batching_dimensions = [], lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>, algorithm = #stablehlo.dot_algorithm<lhs_precision_type = f8E5M2, rhs_precision_type = f8E5M2, accumulation_type = f32, lhs_component_count = 1, rhs_component_count = 1, num_primitive_operations = 1, allow_imprecise_accumulation = true>} : (tensor<4x8xbf16>, tensor<4x8xbf16>) -> tensor<4x4xf32>
    %high = "chlo.mulhi"(%counts, %counts) : (tensor<4x8xi32>, tensor<4x8xi32>) -> tensor<4x8xi32>
    %converted.4 = "stablehlo.convert"(%truths) : (tensor<4xi1>) -> tensor<4xui8>
    %bytes = "stablehlo.bitcast_convert"(%converted.4) : (tensor<4xui8>) -> tensor<4xi8>
    %bytes.1 = "stablehlo.bitcast_convert"(%bytes) : (tensor<4xi8>) -> tensor<4xui8>
    %back = "stablehlo.convert"(%bytes.1) : (tensor<4xui8>) -> tensor<4xi1>
    %bits:2 = "stablehlo.rng_bit_generator"(%state) {rng_algorithm = #stablehlo<rng_algorithm DEFAULT>} : (tensor<2xui64>) -> (tensor<2xui64>, tensor<4xui32>)
    %converted.5 = "stablehlo.convert"(%narrow) : (tensor<1x28x1xi8>) -> tensor<1x28x1xbf16>
    %mixed = "stablehlo.convolution"(%converted.5, %half) {batch_group_count = 1 : i64, dimension_numbers = #stablehlo.conv<[b, 0, f]x[0, i, o]->[b, 0, f]>, feature_group_count = 1 : i64, lhs_dilation = array<i64: 1>, padding = dense<[[13, 14]]> : tensor<1x2xi64>, rhs_dilation = array<i64: 1>, window_reversal = array<i1: false>, window_strides = array<i64: 1>} : (tensor<1x28x1xbf16>, tensor<28x1x1xbf16>) -> tensor<1x28x1xbf16>
    "func.return"(%back, %bits#1, %mixed, %scattered#0, %scattered.1, %several#0, %several.1, %replicas, %partitions, %convolved, %fast, %high) : (tensor<4xi1>, tensor<4xui32>, tensor<1x28x1xbf16>, tensor<4x8xi32>, tensor<4x8xbf16>, tensor<4xf32>, tensor<4x8xbf16>, tensor<4xf32>, tensor<6x8xbf16>, tensor<1x28x1xf32>, tensor<4x4xf32>, tensor<4x8xi32>) -> ()
  }
}
