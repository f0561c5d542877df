"""Embedding operations, ready for use. Each is a plain function of TensorFlow whose regions, and those of its gradient, are run by hlo2dae."""

import functools

import tensorflow as tf

from .._errors import InvalidArgument
from ._function import function

__all__ = ["embedding_bag", "embedding_lookup_sparse", "gather", "scatter_add", "segment_sum", "spmm"]

_COMBINERS = ("sum", "mean", "max")


@function
def gather(table, indices):
    """The rows ``table[indices]``. An index outside of the table gives the nearest row."""
    _check_indices("indices", indices)
    return tf.gather(table, indices)


@function
def embedding_bag(table, indices, *, weights=None, segment_ids=None, offsets=None, num_bags=None, combiner="sum"):
    """Rows of a table, summed bag by bag.

    The bags are the rows of a matrix of indices; or ``segment_ids`` says of each index of a list in which of ``num_bags`` bags it is
    (one that is no bag is left out); or ``offsets`` says where in the list each bag begins.

    ``weights``, one for each index, scale the rows. ``combiner`` is ``sum``, ``mean`` (of weighted rows: by the sum of the weights) or
    ``max``. An empty bag gives zeros.
    """
    _check_indices("indices", indices)
    if combiner not in _COMBINERS:
        raise InvalidArgument(f"unknown combiner {combiner!r}: expected one of {', '.join(_COMBINERS)}")
    if weights is not None and weights.shape != indices.shape:
        raise InvalidArgument(f"wrong shape of weights: expected that of the indices, {indices.shape}, found {weights.shape}")
    if weights is not None and combiner == "max":
        raise InvalidArgument("a maximum takes no weights: expected combiner sum or mean")
    if offsets is not None:
        if segment_ids is not None or num_bags is not None:
            raise InvalidArgument("bags are given by offsets, or by segment_ids and num_bags: found both")
        _check_indices("offsets", offsets, rank=1)
        num_bags = offsets.shape[0]
        segment_ids = _segments(offsets, indices.shape[0])
    rows = tf.gather(table, indices)
    sizes = tf.ones(indices.shape, rows.dtype) if weights is None else tf.cast(weights, rows.dtype)
    if weights is not None:
        rows *= sizes[..., tf.newaxis]
    if segment_ids is None:
        if indices.shape.rank != 2:
            raise InvalidArgument(f"wrong rank of indices: expected a matrix, or segment_ids or offsets, found {indices.shape}")
        if combiner == "max":
            return tf.reduce_max(rows, axis=1)
        total = tf.reduce_sum(rows, axis=1)
        return total if combiner == "sum" else tf.math.divide_no_nan(total, tf.reduce_sum(sizes, axis=1, keepdims=True))
    _check_indices("segment_ids", segment_ids, rank=1)
    if num_bags is None:
        raise InvalidArgument("segment_ids need num_bags")
    if segment_ids.shape != indices.shape:
        raise InvalidArgument(f"wrong shape of segment_ids: expected that of the indices, {indices.shape}, found {segment_ids.shape}")
    reduce = functools.partial(tf.math.unsorted_segment_sum, segment_ids=segment_ids, num_segments=num_bags)
    if combiner == "sum":
        return reduce(rows)
    size = reduce(sizes)[:, tf.newaxis]
    if combiner == "mean":
        return tf.math.divide_no_nan(reduce(rows), size)
    largest = tf.math.unsorted_segment_max(rows, segment_ids, num_bags)
    return tf.where(size == 0, tf.zeros_like(largest), largest)


def embedding_lookup_sparse(params, sp_ids, sp_weights=None, *, combiner="mean"):
    """``tf.nn.embedding_lookup_sparse`` of one table, with ``combiner`` ``sum`` or ``mean``; it compiles with XLA. The shape of ``sp_ids`` has to be
    known when it is traced."""
    shape = tf.get_static_value(sp_ids.dense_shape)
    if shape is None:
        raise InvalidArgument("the shape of sp_ids is not known when it is traced")
    return embedding_bag(
        tf.convert_to_tensor(params),
        sp_ids.values,
        weights=None if sp_weights is None else sp_weights.values,
        segment_ids=sp_ids.indices[:, 0],
        num_bags=int(shape[0]),
        combiner=combiner,
    )


@function
def segment_sum(data, segment_ids, *, num_segments):
    """The sum of the rows of each segment. A row of no segment is left out."""
    _check_indices("segment_ids", segment_ids, rank=1)
    return tf.math.unsorted_segment_sum(data, segment_ids, num_segments)


@function
def scatter_add(operand, indices, updates):
    """``operand`` with ``updates`` added to its rows ``indices``. An update of no row is left out."""
    _check_indices("indices", indices)
    expected = indices.shape + operand.shape[1:]
    if updates.shape != expected:
        raise InvalidArgument(f"wrong shape of updates: expected {expected}, found {updates.shape}")
    return tf.tensor_scatter_nd_add(operand, indices[..., tf.newaxis], updates)


@function
def spmm(values, columns, dense, *, rows=None, indptr=None, num_rows=None):
    """A sparse matrix times a dense one.

    The places of the ``values`` are ``columns`` and either ``rows`` (COO, of ``num_rows`` rows) or ``indptr`` (CSR: where each row begins,
    and where the last ends). A row or column outside of the matrices is a mistake that is not noticed.
    """
    _check_indices("columns", columns, rank=1)
    if (rows is None) == (indptr is None):
        raise InvalidArgument("a sparse matrix has either rows (COO) or indptr (CSR)")
    if indptr is not None:
        _check_indices("indptr", indptr, rank=1)
        num_rows = indptr.shape[0] - 1
        rows = _segments(indptr[:-1], columns.shape[0])
    if num_rows is None:
        raise InvalidArgument("rows need num_rows")
    products = values[:, tf.newaxis] * tf.gather(dense, columns)
    return tf.math.unsorted_segment_sum(products, rows, num_rows)


def _segments(offsets, size: int):
    """The segment of each of ``size`` places, of segments that begin at the offsets."""
    return tf.searchsorted(offsets, tf.range(size, dtype=offsets.dtype), side="right") - 1


def _check_indices(what: str, tensor, rank: int | None = None) -> None:
    if not tensor.dtype.is_integer:
        raise InvalidArgument(f"wrong element type of {what}: expected integers, found {tensor.dtype.name}")
    if rank is not None and tensor.shape.rank != rank:
        raise InvalidArgument(f"wrong rank of {what}: expected {rank}, found {tensor.shape.rank}")
