"""Embedding operations, ready for use. Each is a plain function of TensorFlow whose regions, and those of its gradient, are run by hlo2dae."""

import functools

import tensorflow as tf

from .._checks import check_bags, check_indices, check_sparse, check_updates
from .._errors import InvalidArgument
from ._function import function

__all__ = ["embedding_bag", "embedding_lookup_sparse", "gather", "scatter_add", "segment_sum", "spmm"]


@function
def gather(table, indices):
    """The rows ``table[indices]``. An index outside of the table gives the nearest row."""
    check_indices("indices", indices)
    return tf.gather(table, indices)


@function
def embedding_bag(table, indices, *, weights=None, segment_ids=None, offsets=None, num_bags=None, combiner="sum"):
    """Rows of a table, summed bag by bag.

    The bags are the rows of a matrix of indices; or ``segment_ids`` says of each index of a list in which of ``num_bags`` bags it is
    (one that is no bag is left out); or ``offsets`` says where in the list each bag begins.

    ``weights``, one for each index, scale the rows. ``combiner`` is ``sum``, ``mean`` (of weighted rows: by the sum of the weights) or
    ``max``. An empty bag gives zeros.
    """
    check_bags(indices, weights, segment_ids, offsets, num_bags, combiner)
    if offsets is not None:
        num_bags = offsets.shape[0]
        segment_ids = _segments(offsets, indices.shape[0])
    rows = tf.gather(table, indices)
    sizes = tf.ones(indices.shape, rows.dtype) if weights is None else tf.cast(weights, rows.dtype)
    if weights is not None:
        rows *= sizes[..., tf.newaxis]
    if segment_ids is None:
        if combiner == "max":
            return tf.reduce_max(rows, axis=1)
        total = tf.reduce_sum(rows, axis=1)
        return total if combiner == "sum" else tf.math.divide_no_nan(total, tf.reduce_sum(sizes, axis=1, keepdims=True))
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
    check_indices("segment_ids", segment_ids, rank=1)
    return tf.math.unsorted_segment_sum(data, segment_ids, num_segments)


@function
def scatter_add(operand, indices, updates):
    """``operand`` with ``updates`` added to its rows ``indices``. An update of no row is left out."""
    check_updates(operand, indices, updates)
    return tf.tensor_scatter_nd_add(operand, indices[..., tf.newaxis], updates)


@function
def spmm(values, columns, dense, *, rows=None, indptr=None, num_rows=None):
    """A sparse matrix times a dense one.

    The places of the ``values`` are ``columns`` and either ``rows`` (COO, of ``num_rows`` rows) or ``indptr`` (CSR: where each row begins,
    and where the last ends). A row or column outside of the matrices is a mistake that is not noticed.
    """
    check_sparse(columns, rows, indptr, num_rows)
    if indptr is not None:
        num_rows = indptr.shape[0] - 1
        rows = _segments(indptr[:-1], columns.shape[0])
    products = values[:, tf.newaxis] * tf.gather(dense, columns)
    return tf.math.unsorted_segment_sum(products, rows, num_rows)


def _segments(offsets, size: int):
    """The segment of each of ``size`` places, of segments that begin at the offsets."""
    return tf.searchsorted(offsets, tf.range(size, dtype=offsets.dtype), side="right") - 1
