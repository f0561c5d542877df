"""Embedding operations inside of TensorFlow functions, as custom calls of XLA on the CPU.

``function`` runs the embedding regions of a whole function. ``embedding_bag``, ``embedding_lookup_sparse``, ``gather``, ``scatter_add``,
``segment_sum`` and ``spmm`` are functions that are ready for use. ``call`` runs one program, given as text.
"""

from ._call import TARGET, UNTYPED_TARGET, call, call_untyped, register
from ._function import explain, function
from ._ops import embedding_bag, embedding_lookup_sparse, gather, scatter_add, segment_sum, spmm

__all__ = [
    "TARGET",
    "UNTYPED_TARGET",
    "call",
    "call_untyped",
    "embedding_bag",
    "embedding_lookup_sparse",
    "explain",
    "function",
    "gather",
    "register",
    "scatter_add",
    "segment_sum",
    "spmm",
]
