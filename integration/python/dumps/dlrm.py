"""A deep learning recommendation model with 26 tables, in both frameworks.

Dense features go through a small bottom MLP, every table gives one pooled vector per sample, all pairs of vectors meet in dot
products, and a top MLP makes the score. The tables differ in rows and in how many ids a sample has for them, as they do in click
logs; every fifth table is pooled by the mean, tables with one id per sample are plain lookups.
"""

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf

from .model import model

BATCH, DENSE, DIM, HIDDEN = 16, 13, 8, 16
ROWS = [1000, 583, 972, 405, 24, 305, 10, 63, 3, 938, 147, 512, 14, 980, 461, 4, 976, 35, 60, 7, 920, 333, 18, 15, 105, 142]
POOLING = [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 10, 4, 10, 3, 1, 1]
PAIRS = np.tril_indices(len(ROWS) + 1, -1)

ARGUMENTS = {
    "dense": ("float32", (BATCH, DENSE)),
    "bottom_0": ("float32", (DENSE, HIDDEN)),
    "bottom_1": ("float32", (HIDDEN, DIM)),
    "top_0": ("float32", (DIM + len(PAIRS[0]), HIDDEN)),
    "top_1": ("float32", (HIDDEN, 1)),
    **{f"table_{k}": ("float32", (rows, DIM)) for k, rows in enumerate(ROWS)},
    **{f"ids_{k}": ("int32", (BATCH, count) if count > 1 else (BATCH,)) for k, count in enumerate(POOLING)},
}


def pooling_is_mean(k):
    return k % 5 == 4


@model("jax", "dlrm26_jax", **ARGUMENTS)
def dlrm_jax(dense, bottom_0, bottom_1, top_0, top_1, *tables_and_ids):
    tables, ids = tables_and_ids[: len(ROWS)], tables_and_ids[len(ROWS) :]
    bottom = jax.nn.relu(jax.nn.relu(dense @ bottom_0) @ bottom_1)
    vectors = [bottom]
    for k, (table, index) in enumerate(zip(tables, ids)):
        rows = jnp.take(table, index, axis=0)
        if POOLING[k] == 1:
            vectors.append(rows)
        else:
            vectors.append(rows.mean(axis=1) if pooling_is_mean(k) else rows.sum(axis=1))
    stacked = jnp.stack(vectors, axis=1)
    products = jnp.einsum("bik,bjk->bij", stacked, stacked)[:, PAIRS[0], PAIRS[1]]
    return jax.nn.sigmoid(jax.nn.relu(jnp.concatenate([bottom, products], axis=1) @ top_0) @ top_1)


@model("tensorflow", "dlrm26_tf", **ARGUMENTS)
def dlrm_tf(dense, bottom_0, bottom_1, top_0, top_1, *tables_and_ids):
    tables, ids = tables_and_ids[: len(ROWS)], tables_and_ids[len(ROWS) :]
    bottom = tf.nn.relu(tf.nn.relu(dense @ bottom_0) @ bottom_1)
    vectors = [bottom]
    for k, (table, index) in enumerate(zip(tables, ids)):
        rows = tf.gather(table, index)
        if POOLING[k] == 1:
            vectors.append(rows)
        else:
            vectors.append(tf.reduce_mean(rows, axis=1) if pooling_is_mean(k) else tf.reduce_sum(rows, axis=1))
    stacked = tf.stack(vectors, axis=1)
    products = tf.reshape(tf.matmul(stacked, stacked, transpose_b=True), [BATCH, -1])
    lower = tf.gather(products, PAIRS[0] * (len(ROWS) + 1) + PAIRS[1], axis=1)
    return tf.sigmoid(tf.nn.relu(tf.concat([bottom, lower], axis=1) @ top_0) @ top_1)
