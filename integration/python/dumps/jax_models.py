"""Lookups and embedding bags as people write them in JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

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
