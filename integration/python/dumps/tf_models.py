"""Lookups and embedding bags as people write them in TensorFlow."""

import functools

import tensorflow as tf

from .model import model

tf_model = functools.partial(model, "tensorflow")

ROWS, DIM, BAGS, POOLING = 10, 4, 4, 3
TABLE = ("float32", (ROWS, DIM))
IDS = ("int32", (BAGS, POOLING))
FLAT_IDS = ("int32", (BAGS * POOLING,))
WEIGHTS = ("float32", (BAGS, POOLING))


def sorted_segment_sum(rows, segment_ids):
    """`tf.math.segment_sum` with a stated number of bags, which XLA needs."""
    return tf.raw_ops.SegmentSumV2(data=rows, segment_ids=segment_ids, num_segments=BAGS)


@tf_model("tf_gather", table=TABLE, ids=("int32", (6,)))
def gather(table, ids):
    return tf.gather(table, ids)


@tf_model("tf_gather_int64", table=TABLE, ids=("int64", (2, 3)))
def gather_int64(table, ids):
    return tf.gather(table, ids)


@tf_model("tf_gather_f16", table=("float16", (ROWS, DIM)), ids=("int32", (6,)))
def gather_f16(table, ids):
    return tf.nn.embedding_lookup(table, ids)


# Bags of one length.


@tf_model("tf_bag_reduce", table=TABLE, ids=IDS)
def bag_reduce(table, ids):
    return tf.reduce_sum(tf.gather(table, ids), axis=1)


@tf_model("tf_bag_reduce_optimized", optimized=True, table=TABLE, ids=IDS)
def bag_reduce_optimized(table, ids):
    return tf.reduce_sum(tf.gather(table, ids), axis=1)


@tf_model("tf_bag_mean", table=TABLE, ids=IDS)
def bag_mean(table, ids):
    return tf.reduce_mean(tf.nn.embedding_lookup(table, ids), axis=1)


@tf_model("tf_bag_max", table=TABLE, ids=IDS)
def bag_max(table, ids):
    return tf.reduce_max(tf.gather(table, ids), axis=1)


@tf_model("tf_bag_weighted", table=TABLE, ids=IDS, weights=WEIGHTS)
def bag_weighted(table, ids, weights):
    return tf.reduce_sum(tf.gather(table, ids) * weights[..., tf.newaxis], axis=1)


@tf_model("tf_bag_f16", table=("float16", (ROWS, DIM)), ids=IDS)
def bag_f16(table, ids):
    return tf.reduce_sum(tf.gather(table, ids), axis=1)


# Bags of any length.


@tf_model("tf_bag_segment_sum", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_segment_sum(table, ids, segment_ids):
    return sorted_segment_sum(tf.gather(table, ids), segment_ids)


@tf_model("tf_bag_segment_int64", table=TABLE, ids=("int64", (BAGS * POOLING,)), segment_ids=("int64", (BAGS * POOLING,)))
def bag_segment_int64(table, ids, segment_ids):
    return sorted_segment_sum(tf.gather(table, ids), segment_ids)


@tf_model("tf_bag_unsorted_segments", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_unsorted_segments(table, ids, segment_ids):
    return tf.math.unsorted_segment_sum(tf.gather(table, ids), segment_ids, BAGS)


@tf_model("tf_bag_segment_mean", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_segment_mean(table, ids, segment_ids):
    return tf.math.unsorted_segment_mean(tf.gather(table, ids), segment_ids, BAGS)
