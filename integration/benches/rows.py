"""Pieces of embedding work, each in the words of every framework.

A row makes its arrays and gives, for each framework that is installed, a function without arguments that does the work and waits
until it is done. All of a row's functions compute the same numbers.
"""

import dataclasses
import functools
import importlib.util
import itertools
import math
from collections.abc import Callable, Iterator

import jax
import jax.experimental.sparse
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import hlo2dae
import hlo2dae.jax
import hlo2dae.tf
import tensorflow as tf

OURS_JAX, OURS_LARGE, XLA_JAX = "hlo2dae in JAX", "hlo2dae in JAX, large pages", "XLA in JAX"
OURS_TF, XLA_TF, TF = "hlo2dae in TensorFlow", "XLA in TensorFlow", "TensorFlow"
TORCH, SCIPY, BCSR = "PyTorch", "scipy", "JAX BCSR"

#: Columns of the tables.
IMPLEMENTATIONS = [OURS_JAX, OURS_LARGE, XLA_JAX, OURS_TF, XLA_TF, TF, TORCH, SCIPY, BCSR]

torch = None
if importlib.util.find_spec("torch"):
    import torch
sparse = None
if importlib.util.find_spec("scipy"):
    from scipy import sparse

#: Rows in the order of the table.
ROWS = []


@dataclasses.dataclass(frozen=True)
class Row:
    """A piece of work."""

    name: str
    title: str
    build: Callable[[], dict[str, Callable]]


def row(name: str, title: str, *args, **kwargs):
    """Makes a row of a function that gives the implementations."""

    def add(build):
        # The lowest of several decorators comes first.
        place = next((place for place, each in enumerate(ROWS) if each.build.func is build), len(ROWS))
        ROWS.insert(place, Row(name, title, functools.partial(build, *args, **kwargs)))
        return build

    return add


def _random():
    return np.random.default_rng(17)


def _table(rows: int, width: int, dtype=np.float32) -> np.ndarray:
    table = np.empty((rows, width), np.float32)
    _random().standard_normal(out=table, dtype=np.float32)
    return table.astype(dtype, copy=False)


def _ids(high: int, *shape: int) -> np.ndarray:
    return _random().integers(0, high, shape).astype(np.int32)


class Sets(tuple):
    """Arrays of one shape, of which every call takes the next one."""


#: Bytes that the caches of a processor do not hold, and those of an array whose pages matter.
COLD, LARGE = 128 << 20, 8 << 20


def _lookups(high: int, row_bytes: int, *shape: int) -> Sets:
    """Indices in so many sets that a row is not in the caches for the call before having taken it, unless the whole table is."""
    random, taken = _random(), math.prod(shape) * row_bytes
    return Sets(random.integers(0, high, shape).astype(np.int32) for _ in range(-(-min(COLD, high * row_bytes) // taken)))


def _made(make: Callable, arrays) -> list:
    """The arrays as a framework has them."""
    return [Sets(map(make, array)) if isinstance(array, Sets) else make(array) for array in arrays]


def _arguments(arrays) -> Iterator[tuple]:
    """Those of one call after the other."""
    return zip(*(itertools.cycle(array) if isinstance(array, Sets) else itertools.repeat(array) for array in arrays))


def in_jax(function, *arrays, donated=False) -> dict[str, Callable]:
    """Ours, also with the large arrays rebuilt in large pages, and XLA's; with ``donated``, the first argument is the last result."""
    options = {"donate_argnums": 0} if donated else {}
    ours, theirs = (jit(function, **options) for jit in (hlo2dae.jax.jit, jax.jit))

    def runner(jitted, arrays):
        calls, state = _arguments(arrays), []

        def run():
            first, *others = next(calls)
            if donated:
                first = state.pop() if state else first.copy()
            result = jax.block_until_ready(jitted(first, *others))
            if donated:
                state.append(result)
            return result

        return run

    def in_large_pages(array):
        array = jax.device_put(array)
        if array.nbytes >= LARGE:
            hlo2dae.huge_pages(array)
        return array

    on_device = _made(jax.device_put, arrays)
    runners = {OURS_JAX: runner(ours, on_device), XLA_JAX: runner(theirs, on_device)}
    if not donated:
        runners[OURS_LARGE] = runner(ours, _made(in_large_pages, arrays))
    return runners


def in_tensorflow(function, *arrays) -> dict[str, Callable]:
    """Ours, XLA's and TensorFlow's own kernels."""
    arrays = _made(tf.constant, arrays)

    def runner(traced):
        calls = _arguments(arrays)

        def run():
            result = traced(*next(calls))
            tf.test.experimental.sync_devices()
            return result

        return run

    return {
        OURS_TF: runner(hlo2dae.tf.function(function)),
        XLA_TF: runner(tf.function(function, jit_compile=True)),
        TF: runner(tf.function(function)),
    }


def in_torch(function, *arrays) -> dict[str, Callable]:
    """PyTorch's, where it is installed."""
    if torch is None:
        return {}
    calls = _arguments(_made(_tensor, arrays))

    def run():
        with torch.inference_mode():
            return function(*next(calls))

    return {TORCH: run}


def _tensor(array: np.ndarray):
    """A copy: NumPy's memory is in large pages, which no framework asks for when it makes a parameter."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).clone().view(torch.bfloat16)
    return torch.from_numpy(array).clone()


def as_numpy(result) -> np.ndarray:
    """The numbers of a result, as 64-bit floats."""
    if isinstance(result, (tuple, list)):
        return np.concatenate([as_numpy(each).ravel() for each in result])
    if torch is not None and isinstance(result, torch.Tensor):
        result = result.float() if result.dtype == torch.bfloat16 else result
    return np.asarray(result).astype(np.float64)


# Bags.


@row("bag-1e6x64", "bag 1e6 x 64, 2048 x 64", 1_000_000, 64, 2048, 64)
@row("bag-1e6x128", "bag 1e6 x 128, 1024 x 32", 1_000_000, 128, 1024, 32)
@row("bag-4e6x32", "bag 4e6 x 32, 512 x 80", 4_000_000, 32, 512, 80)
@row("bag-1e4x64", "bag 1e4 x 64 (cache), 2048 x 64", 10_000, 64, 2048, 64)
@row("bag-1e5x256", "bag 1e5 x 256, 512 x 40", 100_000, 256, 512, 40)
@row("bag-pooling-1", "bag 1e6 x 32, 8192 x 1", 1_000_000, 32, 8192, 1)
@row("bag-tiny", "bag 1e4 x 64, 8 x 4", 10_000, 64, 8, 4)
def bag(rows, width, bags, pooling):
    table, ids = _table(rows, width), _lookups(rows, 4 * width, bags, pooling)
    return {
        **in_jax(lambda table, ids: jnp.take(table, ids, axis=0, mode="clip").sum(axis=1), table, ids),
        **in_tensorflow(lambda table, ids: tf.reduce_sum(tf.gather(table, ids), axis=1), table, ids),
        **in_torch(lambda table, ids: torch.nn.functional.embedding_bag(ids, table, mode="sum"), table, ids),
    }


@row("weighted-1e6x64", "weighted bag 1e6 x 64, 2048 x 64", 1_000_000, 64, 2048, 64)
@row("weighted-1e6x128", "weighted bag 1e6 x 128, 1024 x 32", 1_000_000, 128, 1024, 32)
@row("weighted-4e6x32", "weighted bag 4e6 x 32, 512 x 80", 4_000_000, 32, 512, 80)
def weighted_bag(rows, width, bags, pooling):
    table, ids, weights = _table(rows, width), _lookups(rows, 4 * width, bags, pooling), _table(bags, pooling)
    return {
        **in_jax(lambda table, ids, w: (jnp.take(table, ids, axis=0, mode="clip") * w[..., None]).sum(axis=1), table, ids, weights),
        **in_tensorflow(lambda table, ids, w: tf.reduce_sum(tf.gather(table, ids) * w[..., None], axis=1), table, ids, weights),
        **in_torch(
            lambda table, ids, w: torch.nn.functional.embedding_bag(ids, table, mode="sum", per_sample_weights=w), table, ids, weights
        ),
    }


@row("bag-bf16", "bf16 bag 1e6 x 64, 2048 x 64")
def bf16_bag(rows=1_000_000, width=64, bags=2048, pooling=64):
    table, ids = _table(rows, width, ml_dtypes.bfloat16), _lookups(rows, 2 * width, bags, pooling)
    return {
        **in_jax(lambda table, ids: jnp.take(table, ids, axis=0, mode="clip").astype(jnp.float32).sum(axis=1), table, ids),
        **in_tensorflow(lambda table, ids: tf.reduce_sum(tf.cast(tf.gather(table, ids), tf.float32), axis=1), table, ids),
        **in_torch(lambda table, ids: torch.nn.functional.embedding_bag(ids, table, mode="sum"), table, ids),
    }


@row("bag-int8", "int8 bag 1e6 x 64 with scale and bias, 2048 x 64")
def int8_bag(rows=1_000_000, width=64, bags=2048, pooling=64):
    random = _random()
    table, ids = random.integers(0, 256, (rows, width), np.uint8), _lookups(rows, width + 8, bags, pooling)
    scale = random.random((rows, 1), np.float32) / 128
    bias = random.random((rows, 1), np.float32) - 1

    def in_words_of_jax(table, scale, bias, ids):
        take = functools.partial(jnp.take, indices=ids, axis=0, mode="clip")
        return (take(table).astype(jnp.float32) * take(scale) + take(bias)).sum(axis=1)

    def in_words_of_tensorflow(table, scale, bias, ids):
        rows = tf.cast(tf.gather(table, ids), tf.float32) * tf.gather(scale, ids) + tf.gather(bias, ids)
        return tf.reduce_sum(rows, axis=1)

    packed = np.concatenate([table, scale.view(np.uint8), bias.view(np.uint8)], axis=1)
    offsets = np.arange(bags, dtype=np.int32) * pooling
    return {
        **in_jax(in_words_of_jax, table, scale, bias, ids),
        **in_tensorflow(in_words_of_tensorflow, table, scale, bias, ids),
        **in_torch(
            lambda packed, ids, offsets: torch.ops.quantized.embedding_bag_byte_rowwise_offsets(packed, ids, offsets, mode=0),
            packed,
            Sets(map(np.ravel, ids)),
            offsets,
        ),
    }


@row("tables-26", "26 bags 1e5 x 64, 512 x 20")
def tables(count=26, rows=100_000, width=64, bags=512, pooling=20):
    random = _random()
    arrays = [random.random((rows, width), np.float32) for _ in range(count)]
    ids = _lookups(rows, 4 * width, count, bags, pooling)

    def in_words_of_jax(ids, *tables):
        return [jnp.take(table, ids[number], axis=0, mode="clip").sum(axis=1) for number, table in enumerate(tables)]

    def in_words_of_tensorflow(ids, *tables):
        return [tf.reduce_sum(tf.gather(table, ids[number]), axis=1) for number, table in enumerate(tables)]

    def in_words_of_torch(ids, *tables):
        return [torch.nn.functional.embedding_bag(ids[number], table, mode="sum") for number, table in enumerate(tables)]

    return {
        **in_jax(in_words_of_jax, ids, *arrays),
        **in_tensorflow(in_words_of_tensorflow, ids, *arrays),
        **in_torch(in_words_of_torch, ids, *arrays),
    }


# Rows out, rows in.


@row("gather", "gather 131072 x 64 of 1e6")
def gather(rows=1_000_000, width=64, lookups=131_072):
    table, ids = _table(rows, width), _lookups(rows, 4 * width, lookups)
    return {
        **in_jax(lambda table, ids: jnp.take(table, ids, axis=0, mode="clip"), table, ids),
        **in_tensorflow(lambda table, ids: tf.gather(table, ids), table, ids),
        **in_torch(lambda table, ids: torch.index_select(table, 0, ids), table, ids),
    }


@row("scatter-zeros", "scatter-add 131072 x 64 into zeros 1e6", 1_000_000)
@row("scatter-zeros-1e4", "scatter-add 131072 x 64 into zeros 1e4", 10_000)
def scatter_into_zeros(rows, width=64, updates=131_072):
    ids, values = _lookups(rows, 4 * width, updates), _table(updates, width)

    def in_words_of_torch(ids, values):
        return torch.zeros(rows, width).index_add_(0, ids, values)

    return {
        **in_jax(lambda ids, values: jnp.zeros((rows, width)).at[ids].add(values, mode="drop"), ids, values),
        **in_tensorflow(lambda ids, values: tf.math.unsorted_segment_sum(values, ids, rows), ids, values),
        **in_torch(in_words_of_torch, ids, values),
    }


@row("scatter-in-place", "scatter-add 131072 x 64 into 1e6, in place", 1_000_000)
@row("scatter-in-place-1e4", "scatter-add 131072 x 64 into 1e4, in place", 10_000)
def scatter_in_place(rows, width=64, updates=131_072):
    table, ids, values = _table(rows, width), _lookups(rows, 4 * width, updates), _table(updates, width)
    return {
        **in_jax(lambda table, ids, values: table.at[ids].add(values, mode="drop"), table, ids, values, donated=True),
        **in_torch(lambda table, ids, values: table.index_add_(0, ids, values), table.copy(), ids, values),
    }


@row("descent", "gradient descent 131072 x 64 of 1e6")
def descent(rows=1_000_000, width=64, updates=131_072):
    table, ids, values = _table(rows, width), _lookups(rows, 4 * width, updates), _table(updates, width)

    def in_words_of_jax(table, ids, values):
        return table - jnp.zeros_like(table).at[ids].add(values, mode="drop")

    def in_words_of_torch(table, ids, values):
        return table.sub_(torch.zeros_like(table).index_add_(0, ids, values))

    return {
        **in_jax(in_words_of_jax, table, ids, values, donated=True),
        **in_torch(in_words_of_torch, table.copy(), ids, values),
    }


@row("segment-sorted", "segment sum 131072 x 64 into 2048, sorted", True)
@row("segment-unsorted", "segment sum 131072 x 64 into 2048, unsorted", False)
def segment_sum(ordered, rows=131_072, width=64, segments=2048):
    data, ids = _table(rows, width), _ids(segments, rows)
    ids = np.sort(ids) if ordered else ids
    return {
        **in_jax(lambda data, ids: jax.ops.segment_sum(data, ids, segments, indices_are_sorted=ordered), data, ids),
        **in_tensorflow(
            # TensorFlow's segment sum of sorted ids does not compile with XLA.
            lambda data, ids: tf.math.unsorted_segment_sum(data, ids, segments),
            data,
            ids,
        ),
        **in_torch(lambda data, ids: torch.zeros(segments, width).index_add_(0, ids, data), data, ids),
    }


# Graphs.


def graph(nodes: int, degree: int):
    """Row starts, rows and columns of a sparse matrix with about ``degree`` entries in a row."""
    random = _random()
    edges = nodes * degree
    receivers = np.sort(random.integers(0, nodes, edges)).astype(np.int32)
    senders = random.integers(0, nodes, edges).astype(np.int32)
    starts = np.searchsorted(receivers, np.arange(nodes + 1)).astype(np.int32)
    return starts, receivers, senders


@row("spmm-64", "SpMM 1e5 nodes, degree 16, 64 features", 64)
@row("spmm-128", "SpMM 1e5 nodes, degree 16, 128 features", 128)
def spmm(width, nodes=100_000, degree=16):
    starts, receivers, senders = graph(nodes, degree)
    values, dense = _random().random(len(senders), np.float32), _table(nodes, width)

    def in_words_of_jax(values, receivers, senders, dense):
        products = values[:, None] * jnp.take(dense, senders, axis=0, mode="clip")
        return jax.ops.segment_sum(products, receivers, nodes, indices_are_sorted=True)

    def in_words_of_tensorflow(values, receivers, senders, dense):
        return tf.math.unsorted_segment_sum(values[:, None] * tf.gather(dense, senders), receivers, nodes)

    def in_words_of_torch(values, starts, senders, dense):
        return torch.nn.functional.embedding_bag(senders, dense, starts[:-1], mode="sum", per_sample_weights=values)

    given = {
        **in_jax(in_words_of_jax, values, receivers, senders, dense),
        **in_tensorflow(in_words_of_tensorflow, values, receivers, senders, dense),
        **in_torch(in_words_of_torch, values, starts, senders, dense),
    }
    matrix = jax.experimental.sparse.BCSR((jnp.array(values), jnp.array(senders), jnp.array(starts)), shape=(nodes, nodes))
    product, on_device = jax.jit(lambda matrix, dense: matrix @ dense), jax.device_put(dense)
    given[BCSR] = lambda: jax.block_until_ready(product(matrix, on_device))
    if sparse is not None:
        csr = sparse.csr_matrix((values, senders, starts), (nodes, nodes))
        given[SCIPY] = lambda: csr @ dense
    return given


@row("gat", "GAT layer 1e5 nodes, degree 16, 64 features")
def gat(nodes=100_000, degree=16, width=64):
    _, receivers, senders = graph(nodes, degree)
    features, left, right = _table(nodes, width), _table(nodes, 1)[:, 0], _table(nodes, 1)[::-1, 0].copy()

    def in_words_of_jax(features, left, right, senders, receivers):
        return gat_aggregate(features, left, right, senders, receivers, nodes)

    def in_words_of_tensorflow(features, left, right, senders, receivers):
        return tf_gat_aggregate(features, left, right, senders, receivers, nodes)

    return {
        **in_jax(in_words_of_jax, features, left, right, senders, receivers),
        **in_tensorflow(in_words_of_tensorflow, features, left, right, senders, receivers),
    }


def gat_aggregate(features, left, right, senders, receivers, nodes):
    """Messages of a graph attention layer: softmax over the edges of each receiver."""
    take = functools.partial(jnp.take, axis=0, mode="clip")
    segment = dict(num_segments=nodes, indices_are_sorted=True)
    scores = jax.nn.leaky_relu(take(left, senders) + take(right, receivers), 0.2)
    largest = jax.ops.segment_max(scores, receivers, **segment)
    scores = jnp.exp(scores - take(largest, receivers))
    total = jax.ops.segment_sum(scores, receivers, **segment)
    weights = scores / (take(total, receivers) + 1e-16)
    return jax.ops.segment_sum(weights[:, None] * take(features, senders), receivers, **segment)


def tf_gat_aggregate(features, left, right, senders, receivers, nodes):
    """The same in TensorFlow."""
    scores = tf.nn.leaky_relu(tf.gather(left, senders) + tf.gather(right, receivers), 0.2)
    scores = tf.exp(scores - tf.gather(tf.math.unsorted_segment_max(scores, receivers, nodes), receivers))
    total = tf.math.unsorted_segment_sum(scores, receivers, nodes)
    weights = scores / (tf.gather(total, receivers) + 1e-16)
    return tf.math.unsorted_segment_sum(weights[:, None] * tf.gather(features, senders), receivers, nodes)


@row("transe", "TransE 65536 triples x 128", "transe")
@row("distmult", "DistMult 65536 triples x 128", "distmult")
def triples(model, entities=1_000_000, relations=1000, width=128, count=65_536):
    nodes, edges = _table(entities, width), _table(relations, width)
    (heads, tails), kinds = _ids(entities, 2, count), _ids(relations, count)

    def in_words_of_jax(nodes, edges, heads, kinds, tails):
        take = functools.partial(jnp.take, axis=0, mode="clip")
        h, r, t = take(nodes, heads), take(edges, kinds), take(nodes, tails)
        return -jnp.abs(h + r - t).sum(axis=1) if model == "transe" else (h * r * t).sum(axis=1)

    def in_words_of_tensorflow(nodes, edges, heads, kinds, tails):
        h, r, t = tf.gather(nodes, heads), tf.gather(edges, kinds), tf.gather(nodes, tails)
        return -tf.reduce_sum(tf.abs(h + r - t), axis=1) if model == "transe" else tf.reduce_sum(h * r * t, axis=1)

    def in_words_of_torch(nodes, edges, heads, kinds, tails):
        h, r, t = nodes[heads], edges[kinds], nodes[tails]
        return -(h + r - t).abs().sum(dim=1) if model == "transe" else (h * r * t).sum(dim=1)

    arrays = (nodes, edges, heads, kinds, tails)
    return {**in_jax(in_words_of_jax, *arrays), **in_tensorflow(in_words_of_tensorflow, *arrays), **in_torch(in_words_of_torch, *arrays)}
