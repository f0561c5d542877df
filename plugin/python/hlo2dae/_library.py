"""The shared library, found and declared; ``hlo2dae.h`` states the contract of every function."""

import ctypes
import functools
import os
import pathlib
import sys
import threading
from ctypes import POINTER, c_int32, c_int64, c_size_t, c_void_p

from ._errors import BY_CODE, InternalError


class View(ctypes.Structure):
    """Bytes that somebody else owns."""

    _fields_ = [("data", c_void_p), ("size", c_size_t)]

    @property
    def text(self) -> str:
        """A copy of the bytes as text."""
        return ctypes.string_at(self.data, self.size).decode() if self.size else ""


class PortView(ctypes.Structure):
    """An input or output of a region."""

    _fields_ = [("name", View), ("element", c_int32), ("rank", c_size_t), ("dims", POINTER(c_int64))]


class Array(ctypes.Structure):
    """Memory for an input or output."""

    _fields_ = [
        ("element", c_int32),
        ("rank", c_size_t),
        ("dims", POINTER(c_int64)),
        ("data", c_void_p),
        ("size", c_size_t),
    ]


class JaxRegistration(ctypes.Structure):
    """What JAX's registration functions take."""

    _fields_ = [
        ("target", View),
        ("state_type", View),
        ("type_id", c_void_p),
        ("type_info", c_void_p),
        ("instantiate", c_void_p),
        ("execute", c_void_p),
    ]


_FUNCTIONS = {
    "hlo2dae_version": (View, []),
    "hlo2dae_error_code": (c_int32, [c_void_p]),
    "hlo2dae_error_message": (View, [c_void_p]),
    "hlo2dae_error_free": (None, [c_void_p]),
    "hlo2dae_string_view": (View, [c_void_p]),
    "hlo2dae_string_free": (None, [c_void_p]),
    "hlo2dae_compile": (c_void_p, [View, POINTER(c_void_p)]),
    "hlo2dae_module_free": (None, [c_void_p]),
    "hlo2dae_region_count": (c_size_t, [c_void_p]),
    "hlo2dae_region_name": (c_void_p, [c_void_p, c_size_t, POINTER(View)]),
    "hlo2dae_region_arity": (c_void_p, [c_void_p, c_size_t, POINTER(c_size_t), POINTER(c_size_t)]),
    "hlo2dae_region_input": (c_void_p, [c_void_p, c_size_t, c_size_t, POINTER(PortView)]),
    "hlo2dae_region_output": (c_void_p, [c_void_p, c_size_t, c_size_t, POINTER(PortView)]),
    "hlo2dae_emit": (c_void_p, [c_void_p, View, POINTER(c_void_p)]),
    "hlo2dae_region_emit": (c_void_p, [c_void_p, c_size_t, View, POINTER(c_void_p)]),
    "hlo2dae_run": (
        c_void_p,
        [c_void_p, c_size_t, View, POINTER(Array), c_size_t, POINTER(Array), c_size_t],
    ),
    "hlo2dae_huge_pages": (c_int32, [c_void_p, c_size_t]),
    "hlo2dae_retain_memory": (c_int32, [c_int32]),
    "hlo2dae_register_tensorflow": (c_void_p, []),
    "hlo2dae_register_jax": (c_void_p, [POINTER(JaxRegistration)]),
}


def _path() -> pathlib.Path:
    given = os.environ.get("HLO2DAE_LIBRARY")
    if given:
        return pathlib.Path(given)
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    return pathlib.Path(__file__).with_name(f"libhlo2dae{suffix}")


def _load() -> ctypes.CDLL:
    path = _path()
    if not path.is_file():
        raise ImportError(
            f"hlo2dae's library is not at {path}: install the package with `pip install ./plugin/python`, "
            "or name a built library in the environment variable HLO2DAE_LIBRARY"
        )
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


LIBRARY = _load()


def view(text: str) -> tuple[View, bytes]:
    """A view of a text, and the bytes that must live as long as the view."""
    data = text.encode()
    return View(ctypes.cast(ctypes.c_char_p(data), c_void_p), len(data)), data


def check(error) -> None:
    """Raises what ``error`` says, if it says anything."""
    if not error:
        return
    code = LIBRARY.hlo2dae_error_code(error)
    message = LIBRARY.hlo2dae_error_message(error).text
    LIBRARY.hlo2dae_error_free(error)
    raise BY_CODE.get(code, InternalError)(message)


def once(function):
    """Makes a function do its work the first time that it succeeds, whatever thread comes first."""
    lock = threading.Lock()
    done = False

    @functools.wraps(function)
    def guarded() -> None:
        nonlocal done
        with lock:
            if not done:
                function()
                done = True

    return guarded


def version() -> str:
    """The version of the library."""
    return LIBRARY.hlo2dae_version().text
