"""Embedding operations, ready for use. Each is a plain function of JAX whose regions, and those of its gradients, are run by hlo2dae."""

import functools

import jax
import jax.numpy as jnp

from .._checks import check_bags, check_indices, check_name, check_sparse, check_updates
from ._function import jit

__all__ = ["embedding_bag", "gather", "scatter_add", "segment_sum", "spmm"]

_MODES = ("clip", "fill", "promise_in_bounds")


def _op(*static: str):
    """An operation with the named arguments static. Its gradient looks rows up again: that moves less than keeping them."""

    def wrapped(function):
        @functools.wraps(function)
        def plain(*args, **kwargs):
            fixed = {name: kwargs.pop(name) for name in static if name in kwargs}
            return jax.checkpoint(functools.partial(function, **fixed), prevent_cse=False)(*args, **kwargs)

        return functools.wraps(function)(jit(plain, static_argnames=static))

    return wrapped


@_op("mode")
def gather(table, indices, *, mode="clip"):
    """The rows ``table[indices]``.

    ``mode`` says what an index outside of the table gives: the nearest row (``clip``), NaN or the least integer (``fill``), or that there is none
    (``promise_in_bounds``).
    """
    check_indices("indices", indices)
    check_name("mode", mode, _MODES)
    return jnp.take(table, indices, axis=0, mode=mode)


@_op("num_bags", "combiner", "mode", "sorted")
def embedding_bag(
    table, indices, *, weights=None, segment_ids=None, offsets=None, num_bags=None, combiner="sum", mode="clip", sorted=False
):
    """Rows of a table, summed bag by bag.

    The bags are the rows of a matrix of indices; or ``segment_ids`` says of each index of a list in which of ``num_bags`` bags it is
    (``sorted`` if they never fall; one that is no bag is left out); or ``offsets`` says where in the list each bag begins.

    ``weights``, one for each index, scale the rows. ``combiner`` is ``sum``, ``mean`` (of weighted rows: by the sum of the weights) or
    ``max``. An empty bag gives zeros. ``mode`` as for `gather`.
    """
    check_bags(indices, weights, segment_ids, offsets, num_bags, combiner)
    check_name("mode", mode, _MODES)
    if offsets is not None:
        num_bags, sorted = offsets.shape[0], True
        segment_ids = _segments(offsets, indices.shape[0])
    rows = jnp.take(table, indices, axis=0, mode=mode)
    if weights is not None:
        rows = rows * weights[..., None].astype(rows.dtype)
    if segment_ids is None:
        if combiner == "max":
            return rows.max(axis=1)
        total = rows.sum(axis=1)
        return total if combiner == "sum" else _divided(total, _ones(weights, indices, rows).sum(axis=1))
    reduce = functools.partial(jax.ops.segment_sum, segment_ids=segment_ids, num_segments=num_bags, indices_are_sorted=sorted)
    if combiner == "sum":
        return reduce(rows)
    size = reduce(_ones(weights, indices, rows))
    if combiner == "mean":
        return _divided(reduce(rows), size)
    largest = jax.ops.segment_max(rows, segment_ids, num_bags, indices_are_sorted=sorted)
    return jnp.where(size[:, None] == 0, jnp.zeros_like(largest), largest)


@_op("num_segments", "sorted")
def segment_sum(data, segment_ids, *, num_segments, sorted=False):
    """The sum of the rows of each segment; ``sorted`` if ``segment_ids`` never fall. A row of no segment is left out."""
    check_indices("segment_ids", segment_ids, rank=1)
    return jax.ops.segment_sum(data, segment_ids, num_segments, indices_are_sorted=sorted)


@_op()
def scatter_add(operand, indices, updates):
    """``operand`` with ``updates`` added to its rows ``indices``. An update of no row is left out."""
    check_updates(operand, indices, updates)
    return operand.at[indices].add(updates, mode="drop")


@_op("num_rows", "sorted")
def spmm(values, columns, dense, *, rows=None, indptr=None, num_rows=None, sorted=False):
    """A sparse matrix times a dense one.

    The places of the ``values`` are ``columns`` and either ``rows`` (COO, of ``num_rows`` rows; ``sorted`` if they never fall) or ``indptr``
    (CSR: where each row begins, and where the last ends). A row or column outside of the matrices is a mistake that is not
    noticed.
    """
    check_sparse(columns, rows, indptr, num_rows)
    if indptr is not None:
        num_rows, sorted = indptr.shape[0] - 1, True
        rows = _segments(indptr[:-1], columns.shape[0])
    products = values[:, None] * jnp.take(dense, columns, axis=0, mode="clip")
    return jax.ops.segment_sum(products, rows, num_rows, indices_are_sorted=sorted)


def _segments(offsets, size: int):
    """The segment of each of ``size`` places, of segments that begin at the offsets."""
    return jnp.searchsorted(offsets, jnp.arange(size, dtype=offsets.dtype), side="right", method="scan_unrolled") - 1


def _ones(weights, indices, rows):
    return jnp.ones(indices.shape, rows.dtype) if weights is None else weights.astype(rows.dtype)


def _divided(total, size):
    """Sums by their sizes; nothing by nothing is zero."""
    return total / jnp.where(size == 0, jnp.ones_like(size), size)[:, None]
