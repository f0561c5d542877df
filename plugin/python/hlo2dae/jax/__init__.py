"""Embedding operations inside of JAX functions, on the CPU.

``jit`` runs the embedding regions of a whole function. ``embedding_bag``, ``gather``, ``scatter_add``, ``segment_sum`` and ``spmm`` are
functions that are ready for use. ``call`` runs one program, given as text.
"""

from ._call import TARGET, call, register
from ._function import explain, jit
from ._ops import embedding_bag, gather, scatter_add, segment_sum, spmm

__all__ = ["TARGET", "call", "embedding_bag", "explain", "gather", "jit", "register", "scatter_add", "segment_sum", "spmm"]
