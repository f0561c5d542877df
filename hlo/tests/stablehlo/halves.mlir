module @halves attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%x: tensor<2x3xf32>) -> tensor<3x2xi32> {
    %t = "stablehlo.after_all"() : () -> !stablehlo.token
    %sent = "stablehlo.send"(%x, %t) {is_host_transfer = true, channel_handle = #stablehlo.channel_handle<handle = 1, type = 2>} : (tensor<2x3xf32>, !stablehlo.token) -> !stablehlo.token
    %zero = "stablehlo.constant"() {value = dense<0> : tensor<ui32>} : () -> tensor<ui32>
    %got:2 = "stablehlo.recv"(%sent) {is_host_transfer = true, channel_handle = #stablehlo.channel_handle<handle = 2, type = 3>} : (!stablehlo.token) -> (tensor<2x3xf32>, !stablehlo.token)
    %zero.1 = "stablehlo.constant"() {value = dense<0> : tensor<ui32>} : () -> tensor<ui32>
    %after:2 = "stablehlo.optimization_barrier"(%got#0, %sent) : (tensor<2x3xf32>, !stablehlo.token) -> (tensor<2x3xf32>, !stablehlo.token)
    %started = func.call @async_wrapped(%after#0) : (tensor<2x3xf32>) -> tensor<2x3xf32>
    %zero.2 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %zero.3 = "stablehlo.constant"() {value = dense<0> : tensor<ui32>} : () -> tensor<ui32>
    %transposed = "stablehlo.transpose"(%started) {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
    %bits = "stablehlo.bitcast_convert"(%transposed) : (tensor<3x2xf32>) -> tensor<3x2xi32>
    "func.return"(%bits) : (tensor<3x2xi32>) -> ()
  }
  func.func private @async_wrapped(%async_param: tensor<2x3xf32>) -> tensor<2x3xf32> {
    %async_op = "stablehlo.negate"(%async_param) : (tensor<2x3xf32>) -> tensor<2x3xf32>
    "func.return"(%async_op) : (tensor<2x3xf32>) -> ()
  }
}
