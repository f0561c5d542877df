"""Compiled modules, their regions, and runs on numpy arrays."""

import ctypes
import dataclasses
import functools
import weakref

import numpy as np

from ._errors import InvalidArgument, Unsupported
from ._library import LIBRARY, Array, PortView, View, check, view

#: Number of an element type at the C boundary -> its name in numpy (bfloat16: in ml_dtypes).
_DTYPES = {
    1: "bool",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "uint8",
    7: "uint16",
    8: "uint32",
    9: "uint64",
    10: "float16",
    11: "float32",
    12: "float64",
    16: "bfloat16",
}


def numpy_dtype(name: str) -> np.dtype:
    """The numpy type named ``name``."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as error:
        raise Unsupported("bfloat16 arrays need the package ml_dtypes") from error
    return np.dtype(ml_dtypes.bfloat16)


@dataclasses.dataclass(frozen=True)
class Port:
    """An input or output of a region."""

    name: str
    #: Name of the element type as numpy spells it, or ``bfloat16``.
    dtype: str
    shape: tuple[int, ...]

    @property
    def type(self) -> str:
        """For messages: ``float32[1000,24]``."""
        return _type(self.dtype, self.shape)


def _type(dtype: str, shape) -> str:
    return f"{dtype}[{','.join(str(size) for size in shape)}]"


class Region:
    """An embedding operation cut out of a module, or the one program of a program text."""

    def __init__(self, module: "Module", index: int):
        self._module = module
        self._index = index
        name, inputs, outputs = View(), ctypes.c_size_t(), ctypes.c_size_t()
        handle = module._handle
        check(LIBRARY.hlo2dae_region_name(handle, index, name))
        check(LIBRARY.hlo2dae_region_arity(handle, index, inputs, outputs))
        #: Name of the region.
        self.name: str = name.text
        #: What the region reads.
        self.inputs = tuple(self._port(LIBRARY.hlo2dae_region_input, i) for i in range(inputs.value))
        #: What the region gives back.
        self.outputs = tuple(self._port(LIBRARY.hlo2dae_region_output, i) for i in range(outputs.value))

    def _port(self, function, position: int) -> Port:
        port = PortView()
        check(function(self._module._handle, self._index, position, port))
        return Port(port.name.text, _DTYPES[port.element], tuple(port.dims[: port.rank]))

    def emit(self, stage: str) -> str:
        """The text of the region at a stage: ``regions``, ``scf``, ``slc``, ``dlc``, ...

        The stage ``regions`` is what ``hlo2dae.jax.call`` and ``hlo2dae.tf.call`` take.
        """
        return _emitted(LIBRARY.hlo2dae_region_emit, self._module._handle, self._index, stage)

    def run(self, *arrays, engine: str | None = None):
        """Runs the region; one array for each input. Gives one array, or a tuple for several outputs.

        ``engine`` is ``region``, ``scf``, ``slc``, ``dlc``, ``emulator`` or ``native``, the default.
        """
        arrays = [np.asarray(array) for array in arrays]
        self.check_inputs([(array.dtype.name, array.shape) for array in arrays])
        arrays = [np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"]) for array in arrays]
        outputs = [np.empty(port.shape, numpy_dtype(port.dtype)) for port in self.outputs]
        inputs, keep = _describe(arrays, self.inputs)
        results, keep_results = _describe(outputs, self.outputs)
        engine_view, _keep = view(engine or "")
        check(
            LIBRARY.hlo2dae_run(
                self._module._handle, self._index, engine_view, inputs, len(inputs), results, len(results)
            )
        )
        del keep, keep_results
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def check_inputs(self, types) -> None:
        """Raises unless ``types``, pairs of element type and shape, are those of the inputs."""
        types = list(types)
        if len(types) != len(self.inputs):
            raise InvalidArgument(
                f"wrong number of inputs of region @{self.name}: expected {len(self.inputs)}, found {len(types)}"
            )
        for port, (dtype, shape) in zip(self.inputs, types):
            shape = tuple(shape)
            if dtype != port.dtype:
                raise InvalidArgument(
                    f"input %{port.name} of region @{self.name} has the wrong element type: "
                    f"expected {port.type}, found {_type(dtype, shape)}"
                )
            if shape != port.shape:
                raise InvalidArgument(
                    f"input %{port.name} of region @{self.name} has the wrong shape: "
                    f"expected {port.type}, found {_type(dtype, shape)}"
                )

    def __repr__(self) -> str:
        inputs = ", ".join(f"%{port.name}: {port.type}" for port in self.inputs)
        outputs = ", ".join(f"%{port.name}: {port.type}" for port in self.outputs)
        return f"<hlo2dae.Region @{self.name}({inputs}) -> ({outputs})>"


def _emitted(function, *where) -> str:
    """The text that an emitting function gives out."""
    *handles, stage = where
    text = ctypes.c_void_p()
    stage_view, _keep = view(stage)
    check(function(*handles, stage_view, text))
    try:
        return LIBRARY.hlo2dae_string_view(text).text
    finally:
        LIBRARY.hlo2dae_string_free(text)


def _describe(arrays, ports):
    """Descriptors of arrays, and what must live as long as they."""
    descriptors = (Array * len(arrays))()
    keep = []
    numbers = {name: number for number, name in _DTYPES.items()}
    for descriptor, array, port in zip(descriptors, arrays, ports):
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        keep.append((dims, array))
        descriptor.element = numbers[port.dtype]
        descriptor.rank = array.ndim
        descriptor.dims = dims
        descriptor.data = array.ctypes.data
        descriptor.size = array.nbytes
    return descriptors, keep


class Module:
    """A compiled module. Use it from as many threads as you like."""

    def __init__(self, text: str):
        handle = ctypes.c_void_p()
        text_view, _keep = view(text)
        check(LIBRARY.hlo2dae_compile(text_view, handle))
        self._handle = handle
        weakref.finalize(self, LIBRARY.hlo2dae_module_free, handle)
        #: The regions, in the order of the text.
        self.regions = tuple(Region(self, index) for index in range(LIBRARY.hlo2dae_region_count(handle)))

    def emit(self, stage: str) -> str:
        """The text of a stage of the whole module, as after ``--emit`` on the command line."""
        return _emitted(LIBRARY.hlo2dae_emit, self._handle, stage)

    def __repr__(self) -> str:
        return f"<hlo2dae.Module of {len(self.regions)} regions>"


def huge_pages(array) -> bool:
    """Rebuilds the memory of an array in large pages, in place: random rows of a large table come about twice as fast.

    ``array`` is of numpy, JAX or TensorFlow, on the CPU (of a ``tf.Variable``, its ``read_value()``). Nobody who uses it notices. It takes about a
    second for a gigabyte. Gives whether the system did so; it needs Linux 6.1.
    """
    view = np.asarray(array)
    if not view.flags.c_contiguous:
        raise InvalidArgument("the array is not contiguous")
    return bool(LIBRARY.hlo2dae_huge_pages(view.ctypes.data, view.nbytes))


def retain_memory(retain: bool = True) -> bool:
    """Has the process keep the memory of results that are no longer used, for those that come next.

    JAX and TensorFlow ask for the memory of every result, and of what lies between, anew. If it is large, the C library gets it from the system,
    which clears it first, and that takes longer than a gather into it. This is for the whole process, all frameworks in it gain, and it then holds
    as much memory as it ever needed at once, and what lies between. To be called before the first computation: threads that have computed keep heaps
    of their own. ``False`` gives free memory back, and has it be as it was. Gives whether the C library did so; it has to be that of GNU.
    """
    return bool(LIBRARY.hlo2dae_retain_memory(retain))


def compile(text: str) -> Module:
    """Compiles HLO text, or the text of a region or of one of the lower programs."""
    return Module(text)


@functools.lru_cache(maxsize=256)
def program(text: str) -> Region:
    """The one program of a program text."""
    regions = Module(text).regions
    if len(regions) != 1:
        raise InvalidArgument(f"expected the text of one program, found {len(regions)} regions")
    return regions[0]
