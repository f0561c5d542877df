"""Embedding operations of TensorFlow and JAX programs on decoupled access-execute machines.

``compile`` finds the embedding regions of an HLO text; a region's ``emit`` prints it at any stage
and ``run`` runs it on numpy arrays. ``hlo2dae.jax`` and ``hlo2dae.tf`` run a region inside of a
jitted function; neither framework is imported unless its module is.
"""

from ._errors import Error, InternalError, InvalidArgument, Unsupported
from ._module import Module, Port, Region, compile, huge_pages, retain_memory
from ._library import version as _version

__all__ = ["Error", "InternalError", "InvalidArgument", "Module", "Port", "Region", "Unsupported", "compile", "huge_pages", "retain_memory"]

__version__ = _version()
