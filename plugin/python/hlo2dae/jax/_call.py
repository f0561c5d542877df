"""Embedding regions inside of JAX functions, as typed custom calls on the CPU."""

import ctypes

import jax
import numpy as np

from .._errors import InvalidArgument
from .._library import LIBRARY, JaxRegistration, check, once
from .._module import numpy_dtype, program as _program

__all__ = ["TARGET", "call", "register"]

#: Name of the custom call.
TARGET = "hlo2dae"


def _capsule(address: int):
    """A capsule around an address, as JAX's registration takes it."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(address, None, None)


@once
def register() -> None:
    """Registers the custom call with JAX; `call` does so by itself. Doing it again does nothing."""
    # Registrations wait for the backend in a queue that loses their order, and the handler needs its type first.
    jax.devices("cpu")
    entry = JaxRegistration()
    check(LIBRARY.hlo2dae_register_jax(entry))
    jax.ffi.register_ffi_type(
        entry.state_type.text,
        {"type_id": _capsule(entry.type_id), "type_info": _capsule(entry.type_info)},
        platform="cpu",
    )
    jax.ffi.register_ffi_target(
        entry.target.text,
        {"instantiate": _capsule(entry.instantiate), "execute": _capsule(entry.execute)},
        platform="cpu",
    )


def call(program: str, *arrays, engine: str | None = None):
    """Runs a program on arrays, inside or outside of ``jax.jit``.

    ``program`` is a program text, as ``Region.emit`` gives it. One array for each input; gives one
    array, or a tuple for several outputs. ``engine`` as for ``Region.run``.
    """
    register()
    region = _program(program)
    arrays = [jax.numpy.asarray(array) for array in arrays]
    region.check_inputs([(array.dtype.name, array.shape) for array in arrays])
    results = [jax.ShapeDtypeStruct(port.shape, _dtype(region, port)) for port in region.outputs]
    attributes = {"program": program} if engine is None else {"program": program, "engine": engine}
    # A program has one shape: a mapped call is one call after the other.
    outputs = jax.ffi.ffi_call(TARGET, results, vmap_method="sequential")(*arrays, **attributes)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _dtype(region, port) -> np.dtype:
    dtype = numpy_dtype(port.dtype)
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise InvalidArgument(
            f"output %{port.name} of region @{region.name} is {port.type}, and JAX is set to 32 bits: "
            'call jax.config.update("jax_enable_x64", True) first'
        )
    return dtype
