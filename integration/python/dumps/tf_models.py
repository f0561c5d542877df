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


# Graphs and sparse matrices.

NODES, EDGES = 5, 6
ENDS = ("int32", (EDGES,))


@tf_model("tf_message_passing", nodes=("float32", (NODES, DIM)), senders=ENDS, receivers=ENDS, weights=("float32", (EDGES,)))
def message_passing(nodes, senders, receivers, weights):
    return tf.math.unsorted_segment_sum(tf.gather(nodes, senders) * weights[:, tf.newaxis], receivers, NODES)


@tf_model("tf_sddmm", left=("float32", (3, DIM)), right=("float32", (NODES, DIM)), rows=ENDS, columns=ENDS)
def sddmm(left, right, rows, columns):
    return tf.reduce_sum(tf.gather(left, rows) * tf.gather(right, columns), axis=1)


# Scores of triples of a knowledge graph.

TRIPLES = ("int32", (3,))


@tf_model("tf_kg_distmult", entities=("float32", (NODES, DIM)), relations=("float32", (2, DIM)), heads=TRIPLES, kinds=TRIPLES, tails=TRIPLES)
def kg_distmult(entities, relations, heads, kinds, tails):
    return tf.reduce_sum(tf.gather(entities, heads) * tf.gather(relations, kinds) * tf.gather(entities, tails), axis=1)


# Attention to some blocks of the keys.


@tf_model("tf_block_gather", keys=("float32", (2, 4, 2, DIM)), blocks=("int32", (2, 3)))
def block_gather(keys, blocks):
    return tf.gather(keys, blocks, batch_dims=1)


# Training.


@tf_model("tf_sgd", table=TABLE, ids=("int32", (5,)), gradients=("float32", (5, DIM)))
def sgd(table, ids, gradients):
    return tf.tensor_scatter_nd_sub(table, ids[:, tf.newaxis], 0.5 * gradients)


@tf_model("tf_embedding_gradient", table=TABLE, ids=("int32", (5,)), cotangents=("float32", (5, DIM)))
def embedding_gradient(table, ids, cotangents):
    with tf.GradientTape() as tape:
        tape.watch(table)
        rows = tf.gather(table, ids)
    return tf.convert_to_tensor(tape.gradient(rows, table, output_gradients=cotangents))
