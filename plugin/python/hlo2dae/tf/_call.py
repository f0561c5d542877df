"""Embedding regions inside of TensorFlow functions, as custom calls of XLA on the CPU."""

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.compiler.tf2xla.python import xla

from .._errors import InvalidArgument
from .._library import LIBRARY, check, once
from .._module import numpy_dtype, program as _program

__all__ = ["TARGET", "UNTYPED_TARGET", "call", "call_untyped", "register"]

#: Name of the typed custom call.
TARGET = "hlo2dae"
#: Name of the untyped custom call.
UNTYPED_TARGET = "hlo2dae_untyped"

#: Version of the contract of TensorFlow's op that runs a StableHLO module.
_CALL_MODULE_VERSION = 9

#: numpy's name of an element type -> StableHLO's.
_STABLEHLO = {
    "bool": "i1",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "ui8",
    "uint16": "ui16",
    "uint32": "ui32",
    "uint64": "ui64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float64": "f64",
}


@once
def register() -> None:
    """Registers the custom calls with TensorFlow; `call` does so by itself. Doing it again does nothing."""
    check(LIBRARY.hlo2dae_register_tensorflow())


@tf.autograph.experimental.do_not_convert
def call(program: str, *tensors, engine: str | None = None):
    """Runs a program on tensors, eagerly or inside of ``tf.function``, with or without ``jit_compile=True``.

    ``program`` is a program text, as ``Region.emit`` gives it. One tensor for each input; gives one
    tensor, or a tuple for several outputs. ``engine`` as for ``Region.run``.
    """
    region, tensors = _prepare(program, tensors)
    attributes = {"program": program} if engine is None else {"engine": engine, "program": program}
    results = [tf.TensorSpec(port.shape, _tf_dtype(port)) for port in region.outputs]
    outputs = call_module(_stablehlo(region, attributes), tensors, results)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def call_module(stablehlo: str, tensors, results) -> list[tf.Tensor]:
    """Runs a StableHLO module; ``results`` are the types of what it gives."""
    return gen_xla_ops.xla_call_module(
        args=tensors,
        version=_CALL_MODULE_VERSION,
        module=stablehlo,
        Sout=[result.shape for result in results],
        Tout=[result.dtype for result in results],
        platforms=["CPU"],
        dim_args_spec=[],
        function_list=[],
        has_token_input_output=False,
        disabled_checks=[],
    )


@tf.autograph.experimental.do_not_convert
def call_untyped(program: str, *tensors, engine: str | None = None):
    """As `call`, through TensorFlow's own custom-call op; only inside of ``tf.function(jit_compile=True)``.

    XLA checks nothing here and hands over bare pointers, so the shapes are checked when the call is traced.
    """
    region, tensors = _prepare(program, tensors)
    outputs = xla.custom_call_v2(
        UNTYPED_TARGET,
        tensors,
        [tf.TensorSpec(port.shape, _tf_dtype(port)) for port in region.outputs],
        backend_config=program if engine is None else f"engine {engine}\n{program}",
    )
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _prepare(program: str, tensors):
    register()
    region = _program(program)
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    for port, tensor in zip(region.inputs, tensors):
        if not tensor.shape.is_fully_defined():
            raise InvalidArgument(
                f"input %{port.name} of region @{region.name} has a shape that is not known when it is traced: "
                f"expected {port.type}, found {tensor.dtype.name}{tensor.shape}"
            )
    region.check_inputs([(tensor.dtype.name, tensor.shape.as_list()) for tensor in tensors])
    return region, tensors


def _tf_dtype(port) -> tf.DType:
    return tf.as_dtype(numpy_dtype(port.dtype))


def _stablehlo(region, attributes: dict[str, str]) -> str:
    """A StableHLO module whose main function is the call; arrays are row-major."""
    arguments = [f"%arg{position}" for position in range(len(region.inputs))]
    types = [_tensor_type(port) for port in region.inputs]
    results = ", ".join(_tensor_type(port) for port in region.outputs)
    parameters = ", ".join(f"{name}: {type_}" for name, type_ in zip(arguments, types))
    config = ", ".join(f"{name} = {_quoted(text)}" for name, text in attributes.items())
    if len(region.outputs) == 1:
        left, names = "%0", "%0"
    else:
        left = f"%0:{len(region.outputs)}"
        names = ", ".join(f"%0#{position}" for position in range(len(region.outputs)))
    return f"""\
module {{
  func.func public @main({parameters}) -> ({results}) {{
    {left} = stablehlo.custom_call @{TARGET}({", ".join(arguments)}) {{
      api_version = 4 : i32,
      backend_config = {{{config}}},
      operand_layouts = {_layouts(region.inputs)},
      result_layouts = {_layouts(region.outputs)}
    }} : ({", ".join(types)}) -> ({results})
    return {names} : {results}
  }}
}}
"""


def _layouts(ports) -> str:
    """Row-major layouts: dimensions from the one that changes fastest."""
    orders = [", ".join(str(axis) for axis in reversed(range(len(port.shape)))) for port in ports]
    layouts = [f"dense<{f'[{order}]' if order else ''}> : tensor<{len(port.shape)}xindex>" for order, port in zip(orders, ports)]
    return f"[{', '.join(layouts)}]"


def _tensor_type(port) -> str:
    return "tensor<" + "".join(f"{size}x" for size in port.shape) + _STABLEHLO[port.dtype] + ">"


def _quoted(text: str) -> str:
    """A string literal of MLIR: everything but plain ASCII as a backslash and two hexadecimal digits."""
    plain = lambda byte: 0x20 <= byte < 0x7F and byte not in b'"\\'
    return '"' + "".join(chr(byte) if plain(byte) else f"\\{byte:02X}" for byte in text.encode()) + '"'
