"""Lookups and embedding bags as people write them in JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse

from .model import model

jax_model = functools.partial(model, "jax")

ROWS, DIM, BAGS, POOLING = 10, 4, 4, 3
TABLE = ("float32", (ROWS, DIM))
IDS = ("int32", (BAGS, POOLING))
FLAT_IDS = ("int32", (BAGS * POOLING,))
WEIGHTS = ("float32", (BAGS, POOLING))
FLAT_WEIGHTS = ("float32", (BAGS * POOLING,))


# Plain gathers: one per spelling of what happens to an index outside the table.


@jax_model("jax_gather_fill", table=TABLE, ids=("int32", (6,)))
def gather_fill(table, ids):
    return jnp.take(table, ids, axis=0)


@jax_model("jax_gather_clip", table=TABLE, ids=("int32", (6,)))
def gather_clip(table, ids):
    return jnp.take(table, ids, axis=0, mode="clip")


@jax_model("jax_gather_promise", table=TABLE, ids=("int32", (6,)))
def gather_promise(table, ids):
    return table.at[ids].get(mode="promise_in_bounds")


@jax_model("jax_gather_wrap", table=TABLE, ids=("int32", (2, 3)))
def gather_wrap(table, ids):
    return table[ids]


@jax_model("jax_gather_unsigned", table=TABLE, ids=("uint32", (6,)))
def gather_unsigned(table, ids):
    return table[ids]


@jax_model("jax_gather_int64", x64=True, table=TABLE, ids=("int64", (6,)))
def gather_int64(table, ids):
    return jnp.take(table, ids, axis=0)


@jax_model("jax_gather_bf16", table=("bfloat16", (ROWS, DIM)), ids=("int32", (6,)))
def gather_bf16(table, ids):
    return jnp.take(table, ids, axis=0, mode="clip")


# Bags of one length: a lookup, then a reduction over the pooled axis.


@jax_model("jax_bag_reduce", table=TABLE, ids=IDS)
def bag_reduce(table, ids):
    return jnp.take(table, ids, axis=0).sum(axis=1)


@jax_model("jax_bag_reduce_clip", table=TABLE, ids=IDS)
def bag_reduce_clip(table, ids):
    return jnp.take(table, ids, axis=0, mode="clip").sum(axis=1)


@jax_model("jax_bag_reduce_optimized", optimized=True, table=TABLE, ids=IDS)
def bag_reduce_optimized(table, ids):
    return table[ids].sum(axis=1)


@jax_model("jax_bag_mean", table=TABLE, ids=IDS)
def bag_mean(table, ids):
    return table[ids].mean(axis=1)


@jax_model("jax_bag_max", table=TABLE, ids=IDS)
def bag_max(table, ids):
    return table[ids].max(axis=1)


@jax_model("jax_bag_weighted", table=TABLE, ids=IDS, weights=WEIGHTS)
def bag_weighted(table, ids, weights):
    return (table[ids] * weights[..., None]).sum(axis=1)


@jax_model("jax_bag_einsum", table=TABLE, ids=IDS, weights=WEIGHTS)
def bag_einsum(table, ids, weights):
    return jnp.einsum("bld,bl->bd", table[ids], weights)


@jax_model("jax_bag_bf16", table=("bfloat16", (ROWS, DIM)), ids=IDS)
def bag_bf16(table, ids):
    return table[ids].sum(axis=1)


@jax_model("jax_bag_int32", table=("int32", (ROWS, DIM)), ids=IDS)
def bag_int32(table, ids):
    return table[ids].sum(axis=1)


# Bags of any length: a segment id beside every looked-up id.


@jax_model("jax_bag_segment_sum", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_segment_sum(table, ids, segment_ids):
    return jax.ops.segment_sum(table[ids], segment_ids, num_segments=BAGS, indices_are_sorted=True)


@jax_model("jax_bag_unsorted_segments", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_unsorted_segments(table, ids, segment_ids):
    return jax.ops.segment_sum(table[ids], segment_ids, num_segments=BAGS)


@jax_model("jax_bag_segment_weighted", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS, weights=FLAT_WEIGHTS)
def bag_segment_weighted(table, ids, segment_ids, weights):
    rows = jnp.take(table, ids, axis=0, mode="clip") * weights[:, None]
    return jax.ops.segment_sum(rows, segment_ids, num_segments=BAGS, indices_are_sorted=True)


@jax_model("jax_bag_segment_mean", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_segment_mean(table, ids, segment_ids):
    sums = jax.ops.segment_sum(table[ids], segment_ids, num_segments=BAGS, indices_are_sorted=True)
    counts = jax.ops.segment_sum(jnp.ones(ids.shape, table.dtype), segment_ids, num_segments=BAGS, indices_are_sorted=True)
    return sums / jnp.maximum(counts, 1)[:, None]


@jax_model("jax_bag_segment_max", table=TABLE, ids=FLAT_IDS, segment_ids=FLAT_IDS)
def bag_segment_max(table, ids, segment_ids):
    return jax.ops.segment_max(table[ids], segment_ids, num_segments=BAGS, indices_are_sorted=True)


@jax_model("jax_bag_segment_int64", x64=True, table=TABLE, ids=("int64", (BAGS * POOLING,)), segment_ids=("int64", (BAGS * POOLING,)))
def bag_segment_int64(table, ids, segment_ids):
    return jax.ops.segment_sum(table[ids], segment_ids, num_segments=BAGS, indices_are_sorted=True)


@jax_model("jax_bag_constant_segments", table=TABLE, ids=FLAT_IDS)
def bag_constant_segments(table, ids):
    segment_ids = jnp.asarray(np.repeat(np.arange(BAGS), [5, 0, 3, 4]))
    return jax.ops.segment_sum(table[ids], segment_ids, num_segments=BAGS, indices_are_sorted=True)


# Graphs and sparse matrices.

NODES, EDGES = 5, 6
ENDS = ("int32", (EDGES,))


@jax_model("jax_message_passing", nodes=("float32", (NODES, DIM)), senders=ENDS, receivers=ENDS, weights=("float32", (EDGES,)))
def message_passing(nodes, senders, receivers, weights):
    messages = weights[:, None] * jax.nn.relu(nodes[senders] - nodes[receivers])
    return jax.ops.segment_sum(messages, receivers, num_segments=NODES)


@jax_model("jax_spmm_bcoo", values=("float32", (EDGES,)), places=("int32", (EDGES, 2)), dense=("float32", (NODES, DIM)))
def spmm_bcoo(values, places, dense):
    return sparse.BCOO((values, places), shape=(3, NODES)) @ dense


@jax_model("jax_spmm_csr", values=("float32", (EDGES,)), columns=ENDS, pointers=("int32", (4,)), dense=("float32", (NODES, DIM)))
def spmm_csr(values, columns, pointers, dense):
    rows = jnp.repeat(jnp.arange(3), jnp.diff(pointers), total_repeat_length=EDGES)
    return jax.ops.segment_sum(values[:, None] * dense[columns], rows, num_segments=3, indices_are_sorted=True)


@jax_model("jax_sddmm", left=("float32", (3, DIM)), right=("float32", (NODES, DIM)), rows=ENDS, columns=ENDS, values=("float32", (EDGES,)))
def sddmm(left, right, rows, columns, values):
    return values * (left[rows] * right[columns]).sum(axis=1)


# Scores of triples of a knowledge graph.

TRIPLES = ("int32", (3,))


@jax_model("jax_kg_transe", entities=("float32", (NODES, DIM)), relations=("float32", (2, DIM)), heads=TRIPLES, kinds=TRIPLES, tails=TRIPLES)
def kg_transe(entities, relations, heads, kinds, tails):
    return -jnp.abs(entities[heads] + relations[kinds] - entities[tails]).sum(axis=1)


# Attention to some blocks of the keys.


@jax_model("jax_block_gather", keys=("float32", (4, 2, DIM)), blocks=("int32", (3, 2)))
def block_gather(keys, blocks):
    return jnp.take(keys, blocks, axis=0, mode="clip").reshape(3, 4, DIM)


# Training.


@jax_model("jax_sgd", table=TABLE, ids=("int32", (5,)), gradients=("float32", (5, DIM)))
def sgd(table, ids, gradients):
    return table.at[ids].add(-0.5 * gradients)


@jax_model("jax_descent", table=TABLE, ids=("int32", (4,)), cotangents=("float32", (4, DIM)))
def descent(table, ids, cotangents):
    (gradient,) = jax.vjp(lambda table: jnp.take(table, ids, axis=0, mode="clip"), table)[1](cotangents)
    return table - 0.5 * gradient


@jax_model("jax_embedding_gradient", ids=("int32", (5,)), cotangents=("float32", (5, DIM)))
def embedding_gradient(ids, cotangents):
    # The look-up is linear in the table, so that the gradient does not depend on it: JAX drops arguments that nothing needs.
    table = jnp.zeros(TABLE[1], TABLE[0])
    return jax.vjp(lambda table: jnp.take(table, ids, axis=0, mode="clip"), table)[1](cotangents)[0]
