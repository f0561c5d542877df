"""Whole TensorFlow functions with their embedding regions run by hlo2dae.

A function is traced, TensorFlow says what HLO it hands to XLA, that is compiled, and TensorFlow's op for StableHLO runs the module in
which calls stand for the regions. Variables are arguments of that module, and results where the function assigns to them. The
gradient is a function of its own, whose regions are found in the same way.
"""

import contextvars
import functools
import itertools
import re
import warnings

import numpy as np
import tensorflow as tf
from tensorflow.compiler.xla import xla_data_pb2
from tensorflow.compiler.xla.service import hlo_pb2

from .._errors import Error, Unsupported
from .._module import Module, compile, numpy_dtype
from ._call import call_module, register

__all__ = ["explain", "function"]

#: In the first line of a module: a result that takes the place of a parameter.
_ALIAS = re.compile(r"\{(\d*)\}: \((\d+), \{\}, \w+-alias\)")

#: What TensorFlow prints in the place of a large constant.
_ELIDED = "constant({...})"

#: For each element type of a constant: the field of its message, and the type in numpy of what stands there as bytes.
_LITERALS = {
    "PRED": ("preds", None),
    "S8": ("s8s", "int8"),
    "S16": ("s16s", "int16"),
    "S32": ("s32s", None),
    "S64": ("s64s", None),
    "U8": ("u8s", "uint8"),
    "U16": ("u16s", "uint16"),
    "U32": ("u32s", None),
    "U64": ("u64s", None),
    "F16": ("f16s", "float16"),
    "BF16": ("bf16s", "bfloat16"),
    "F32": ("f32s", None),
    "F64": ("f64s", None),
}

#: Whether a function is being printed whose regions are then looked for: functions within it are a part of it.
_printing = contextvars.ContextVar("hlo2dae_printing", default=False)


def function(function=None, /, **options):
    """As ``tf.function(jit_compile=True)``, with the embedding regions of the function run by hlo2dae.

    ``options`` are those of ``tf.function``. The function may read variables and assign to them. Gradients flow to its arguments and to the
    variables that it reads, unless it assigns to one. All shapes have to be known when it is traced.

    What hlo2dae cannot do yet stays with XLA, and a warning says why.
    """
    if function is None:
        return functools.partial(_function, **options)
    return _function(function, **options)


def _function(function, **options):
    options = {"jit_compile": True, **options}

    @functools.wraps(function)
    @tf.autograph.experimental.do_not_convert
    def with_regions(*args, **kwargs):
        of_tensors, tensors = _flattened(function, args, kwargs)
        return tf.function(of_tensors)(*tensors) if _printing.get() else _run(of_tensors, tensors, {})

    return tf.function(with_regions, **options)


def explain(function, *args, **kwargs) -> Module:
    """The compiled module of a function on arguments such as these: its regions, and by ``emit`` its text at every stage."""
    return compile(_Traced(*_flattened(function, args, kwargs)).hlo())


def _flattened(function, args, kwargs):
    """A function of the tensors among some arguments, and those tensors."""
    leaves = tf.nest.flatten((args, kwargs), expand_composites=True)
    leaves = [tf.convert_to_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    dynamic = [isinstance(leaf, tf.Tensor) for leaf in leaves]

    def of_tensors(*tensors):
        filled = _merged(dynamic, tensors, leaves)
        given, named = tf.nest.pack_sequence_as((args, kwargs), filled, expand_composites=True)
        return function(*given, **named)

    return of_tensors, list(itertools.compress(leaves, dynamic))


class _Traced:
    """A function of tensors as TensorFlow hands it to XLA."""

    def __init__(self, function, tensors):
        self._types = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
        self._function = tf.function(function, jit_compile=True)
        token = _printing.set(True)
        try:
            concrete = self._function.get_concrete_function(*self._types)
        finally:
            _printing.reset(token)
        variables = {id(variable.handle): variable for variable in concrete.graph.variables}
        #: Tensors and variables that it reads beside its arguments.
        self.captures = [variables.get(id(tensor), tensor) for tensor in concrete.captured_inputs]
        #: Its results in their structure, as symbols.
        self.structure = concrete.structured_outputs
        #: The types of what its module gives: its results, then the new values of variables.
        self.results = [tf.TensorSpec(output.shape, output.dtype) for output in concrete.outputs]
        #: The variables that it assigns to.
        self.assigned = []

    def hlo(self) -> str:
        """Its HLO."""
        for type_ in self._types:
            if not type_.shape.is_fully_defined():
                raise Unsupported(f"a shape is not known when the function is traced: {type_.dtype.name}{type_.shape}")
        if any(capture.dtype == tf.resource for capture in self.captures):
            raise Unsupported("it uses a resource that is no variable")
        try:
            print_as = self._function.experimental_get_compiler_ir(*self._types)
            text = print_as(stage="hlo", platform_name="CPU")
            if _ELIDED in text:
                text = _with_constants(text, print_as(stage="hlo_serialized", platform_name="CPU"))
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise Unsupported(f"TensorFlow gives no HLO of it: {error}") from error
        for result, parameter in _ALIAS.findall(text.split("\n", 1)[0]):
            if int(result or 0) != len(self.results):
                raise Unsupported("it has results that XLA does not compute")
            variable = self.captures[int(parameter) - len(self._types)]
            self.assigned.append(variable)
            self.results.append(tf.TensorSpec(variable.shape, variable.dtype))
        return text

    def outlined(self) -> str | None:
        """StableHLO in which calls stand for the regions, if there are any."""
        try:
            module = compile(self.hlo())
            return module.emit("stablehlo") if module.regions else None
        except Error as error:
            warnings.warn(f"hlo2dae leaves a function to XLA: {error}", stacklevel=2)
            return None


def _with_constants(text: str, module: bytes) -> str:
    """HLO text with the large constants that its serialised form has."""
    instructions = [each for computation in hlo_pb2.HloModuleProto.FromString(module).computations for each in computation.instructions]
    literals = {each.name: each.literal for each in instructions if each.opcode == "constant"}

    def constant(match):
        return f"{match[1]}constant({_literal(literals[match[2]])})"

    return re.sub(r"(%(\S+) = [^\n]*?)" + re.escape(_ELIDED), constant, text)


def _literal(literal) -> str:
    """A constant as HLO text."""
    element = xla_data_pb2.PrimitiveType.Name(literal.shape.element_type)
    if element not in _LITERALS:
        raise Unsupported(f"it has a large constant of element type {element}")
    field, dtype = _LITERALS[element]
    values = getattr(literal, field)
    values = np.array(values) if dtype is None else np.frombuffer(values, numpy_dtype(dtype))
    texts = [str(value).lower() for value in values.tolist()]
    for size in reversed(literal.shape.dimensions):
        texts = ["{" + ", ".join(texts[start : start + size]) + "}" for start in range(0, len(texts), size)]
    return texts[0]


def _run(function, tensors, known):
    """A function of tensors, with its regions and those of its gradient. ``known``: what variables held, by their identity."""
    traced = _Traced(function, tensors)
    text = traced.outlined()
    if text is None:
        return tf.function(function)(*tensors)
    register()
    captured = [known.get(id(each), each) for each in traced.captures]
    arguments = tensors + [tf.convert_to_tensor(each) for each in captured]

    @tf.custom_gradient
    def run(*arguments):
        outputs = call_module(text, arguments, traced.results)

        def gradient(*cotangents):
            return _gradient(function, traced, arguments, cotangents)

        return outputs, gradient

    outputs = run(*arguments)
    results = [outputs] if isinstance(outputs, tf.Tensor) else list(outputs)
    count = len(results) - len(traced.assigned)
    for variable, value in zip(traced.assigned, results[count:]):
        variable.assign(value)
    leaves = tf.nest.flatten(traced.structure, expand_composites=True)
    leaves = _merged([isinstance(leaf, tf.Tensor) for leaf in leaves], results[:count], leaves)
    return tf.nest.pack_sequence_as(traced.structure, leaves, expand_composites=True)


def _gradient(function, traced, arguments, cotangents):
    """The gradients of the arguments, which end with what was captured."""
    if traced.assigned:
        raise Unsupported("a function that assigns to variables has no gradient: take the gradient inside of the function")
    count = len(arguments) - len(traced.captures)
    floating = [each.dtype.is_floating for each in arguments]
    given = [each.dtype.is_floating for each in traced.results]

    def transposed(*tensors):
        own, seeds = list(tensors[:count]), list(tensors[count:])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            sources = list(itertools.compress(own + traced.captures, floating))
            tape.watch(sources)
            results = tf.nest.flatten(function(*own), expand_composites=True)
        gradients = tape.gradient(list(itertools.compress(results, given)), sources, seeds, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    held = {id(each): value for each, value in zip(traced.captures, arguments[count:])}
    gradients = _run(transposed, list(arguments[:count]) + list(itertools.compress(cotangents, given)), held)
    return _merged(floating, gradients, [None] * len(arguments))


def _merged(chosen, ours, others) -> list:
    """``others``, with the next of ``ours`` wherever ``chosen``."""
    ours = iter(ours)
    return [next(ours) if one else other for one, other in zip(chosen, others)]
