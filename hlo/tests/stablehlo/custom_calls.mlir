module @custom_calls attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%x: tensor<4x2xf32>) -> (tensor<i32>, tensor<2xf32>, tensor<2xf32>) {
    %typed = "stablehlo.custom_call"(%x) {call_target_name = "hlo2dae", api_version = 4 : i32, backend_config = {program = "region @r {\n  axis %k = 4\n}", count = 3 : i64}} : (tensor<4x2xf32>) -> tensor<4x2xf32>
    %untyped = "stablehlo.custom_call"(%typed) {call_target_name = "old call", api_version = 3 : i32, backend_config = "a \22b\22", has_side_effect = true} : (tensor<4x2xf32>) -> tensor<4x2xf32>
    %laid:2 = "stablehlo.custom_call"(%untyped) {call_target_name = "layouts", api_version = 1 : i32, backend_config = "", output_operand_aliases = [#stablehlo.output_operand_alias<output_tuple_indices = [0], operand_index = 0, operand_tuple_indices = []>], operand_layouts = [dense<[0, 1]> : tensor<2xindex>], result_layouts = [dense<[0, 1]> : tensor<2xindex>, dense<> : tensor<0xindex>]} : (tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<i32>)
    %tuple = "stablehlo.tuple"(%laid#0, %x) : (tensor<4x2xf32>, tensor<4x2xf32>) -> tuple<tensor<4x2xf32>, tensor<4x2xf32>>
    %nested = "stablehlo.custom_call"(%tuple, %x) {call_target_name = "tuples", api_version = 1 : i32, backend_config = "", called_computations = [@add]} : (tuple<tensor<4x2xf32>, tensor<4x2xf32>>, tensor<4x2xf32>) -> tuple<tensor<4xf32>, tuple<tensor<i32>, tensor<2xf32>>>
    %nested.1 = "stablehlo.get_tuple_element"(%nested) {index = 0 : i32} : (tuple<tensor<4xf32>, tuple<tensor<i32>, tensor<2xf32>>>) -> tensor<4xf32>
    %nested.2 = "stablehlo.get_tuple_element"(%nested) {index = 1 : i32} : (tuple<tensor<4xf32>, tuple<tensor<i32>, tensor<2xf32>>>) -> tuple<tensor<i32>, tensor<2xf32>>
    %nested.3 = "stablehlo.get_tuple_element"(%nested.2) {index = 0 : i32} : (tuple<tensor<i32>, tensor<2xf32>>) -> tensor<i32>
    %nested.4 = "stablehlo.get_tuple_element"(%nested.2) {index = 1 : i32} : (tuple<tensor<i32>, tensor<2xf32>>) -> tensor<2xf32>
    %single = "stablehlo.custom_call"(%x) {call_target_name = "single", api_version = 1 : i32, backend_config = ""} : (tensor<4x2xf32>) -> tuple<tensor<2xf32>>
    %single.1 = "stablehlo.get_tuple_element"(%single) {index = 0 : i32} : (tuple<tensor<2xf32>>) -> tensor<2xf32>
    "func.return"(%nested.3, %nested.4, %single.1) : (tensor<i32>, tensor<2xf32>, tensor<2xf32>) -> ()
  }
  func.func private @add(%a: tensor<f32>, %b: tensor<f32>) -> tensor<f32> {
    %sum = "stablehlo.add"(%a, %b) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    "func.return"(%sum) : (tensor<f32>) -> ()
  }
}
