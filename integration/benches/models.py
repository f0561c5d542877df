"""Models whose steps are measured, as somebody writes them who knows nothing of hlo2dae."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf

import hlo2dae.jax
import hlo2dae.tf
import rows


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a model; ``build`` makes it twice, with hlo2dae and without."""

    name: str
    title: str
    framework: str
    build: Callable


@dataclasses.dataclass(frozen=True)
class Runner:
    """A step that is compiled."""

    #: Does it once and waits until it is done.
    run: Callable
    #: Its first results.
    results: Callable


STEPS = []


def step(name: str, title: str, framework: str, **kwargs):
    """Makes a step of a function that builds it."""

    def add(build):
        # The lowest of several decorators comes first.
        place = next((place for place, each in enumerate(STEPS) if each.build.func is build), len(STEPS))
        STEPS.insert(place, Step(name, title, framework, functools.partial(build, **kwargs)))
        return build

    return add


def in_jax(function, parameters, batch, training: bool):
    """Both runners. A step of training gives new parameters, in the memory of the old ones, and the loss."""

    def runner(jit):
        state = [jax.tree.map(jnp.array, parameters)]
        data = jax.device_put(batch)
        if not training:
            jitted = jit(function)
            return Runner(
                lambda: jax.block_until_ready(jitted(state[0], *data)),
                lambda: [np.asarray(jitted(state[0], *data))],
            )
        trained = jit(function, donate_argnums=0)

        def run():
            state[0], loss = jax.block_until_ready(trained(state[0], *data))
            return loss

        def results():
            loss = run()
            return [np.asarray(loss), *map(np.asarray, jax.tree.leaves(state[0]))]

        return Runner(run, results)

    return runner(hlo2dae.jax.jit), runner(jax.jit)


def sgd(loss, parameters, *batch):
    """A step of gradient descent."""
    value, gradients = jax.value_and_grad(loss)(parameters, *batch)
    return jax.tree.map(lambda parameter, gradient: parameter - 0.01 * gradient, parameters, gradients), value


def layers(random, *widths):
    """Weights and biases of a perceptron."""
    return [
        (random.standard_normal((wide, next_)).astype(np.float32) / np.float32(np.sqrt(wide)), np.zeros(next_, np.float32))
        for wide, next_ in zip(widths, widths[1:])
    ]


# A recommender: 26 pooled tables, dense features, products of all pairs.

TABLES, ROWS, WIDTH, BATCH, POOLING, DENSE = 26, 100_000, 64, 512, 20, 13


def dlrm_arrays():
    random = np.random.default_rng(23)
    pairs = (TABLES + 1) * TABLES // 2
    parameters = {
        "tables": [random.random((ROWS, WIDTH), np.float32) - 0.5 for _ in range(TABLES)],
        "bottom": layers(random, DENSE, 512, 256, WIDTH),
        "top": layers(random, WIDTH + pairs, 512, 256, 1),
    }
    ids = random.integers(0, ROWS, (TABLES, BATCH, POOLING)).astype(np.int32)
    return parameters, (random.random((BATCH, DENSE), np.float32), ids, random.integers(0, 2, BATCH).astype(np.float32))


def perceptron(x, layers):
    for weights, bias in layers[:-1]:
        x = jax.nn.relu(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def pooled(tables, ids):
    return [jnp.take(table, ids[number], axis=0, mode="clip").mean(axis=1) for number, table in enumerate(tables)]


def interaction(parameters, bags, dense):
    bottom = perceptron(dense, parameters["bottom"])
    features = jnp.stack([bottom, *bags], axis=1)
    products = jnp.einsum("bnd,bmd->bnm", features, features)
    left, right = np.tril_indices(TABLES + 1, -1)
    return perceptron(jnp.concatenate([bottom, products[:, left, right]], axis=1), parameters["top"])[:, 0]


def dlrm(parameters, dense, ids, labels):
    return interaction(parameters, pooled(parameters["tables"], ids), dense)


def logistic(logits, labels):
    return jnp.mean(jnp.logaddexp(0.0, logits) - labels * logits)


def dlrm_loss(parameters, dense, ids, labels):
    return logistic(dlrm(parameters, dense, ids, labels), labels)


def dlrm_sparse_step(parameters, dense, ids, labels):
    """A step in which only the rows that were looked up change."""
    tables, rest = parameters["tables"], {key: parameters[key] for key in ("bottom", "top")}
    loss, (of_bags, of_rest) = jax.value_and_grad(
        lambda bags, rest: logistic(interaction(rest, bags, dense), labels), (0, 1)
    )(pooled(tables, ids), rest)
    tables = [
        table.at[ids[number]].add(jnp.broadcast_to(-0.01 / POOLING * gradient[:, None], (BATCH, POOLING, WIDTH)), mode="drop")
        for number, (table, gradient) in enumerate(zip(tables, of_bags))
    ]
    return {"tables": tables, **jax.tree.map(lambda parameter, gradient: parameter - 0.01 * gradient, rest, of_rest)}, loss


@step("dlrm-inference", "DLRM, 26 tables 1e5 x 64, batch 512 x 20: inference in JAX", "JAX", training=False)
@step("dlrm-training", "DLRM: training in JAX, dense gradients", "JAX", training=True)
def dlrm_in_jax(training):
    parameters, batch = dlrm_arrays()
    return in_jax(functools.partial(sgd, dlrm_loss) if training else dlrm, parameters, batch, training)


@step("dlrm-sparse-training", "DLRM: training in JAX, looked-up rows only", "JAX")
def dlrm_sparse_in_jax():
    parameters, batch = dlrm_arrays()

    return in_jax(dlrm_sparse_step, parameters, batch, True)


def tf_perceptron(x, layers):
    for weights, bias in layers[:-1]:
        x = tf.nn.relu(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def in_tensorflow(model, loss, parameters, batch, training: bool):
    """Both runners; the parameters are variables."""

    def runner(wrapper):
        state = tf.nest.map_structure(tf.Variable, parameters)
        data = [tf.constant(array) for array in batch]
        variables = tf.nest.flatten(state)

        def trained(*batch):
            with tf.GradientTape() as tape:
                value = loss(state, *batch)
            for variable, gradient in zip(variables, tape.gradient(value, variables)):
                if isinstance(gradient, tf.IndexedSlices):
                    variable.scatter_sub(tf.IndexedSlices(0.01 * gradient.values, gradient.indices))
                else:
                    variable.assign_sub(0.01 * gradient)
            return value

        traced = wrapper(trained if training else functools.partial(model, state))

        def run():
            result = traced(*data)
            tf.test.experimental.sync_devices()
            return result

        return Runner(run, lambda: [run().numpy(), *[variable.numpy() for variable in variables if training]])

    return runner(hlo2dae.tf.function), runner(functools.partial(tf.function, jit_compile=True))


def tf_dlrm(parameters, dense, ids, labels):
    bags = [tf.reduce_mean(tf.gather(table, ids[number]), axis=1) for number, table in enumerate(parameters["tables"])]
    bottom = tf_perceptron(dense, parameters["bottom"])
    features = tf.stack([bottom, *bags], axis=1)
    products = tf.reshape(features @ tf.transpose(features, (0, 2, 1)), (BATCH, (TABLES + 1) ** 2))
    left, right = np.tril_indices(TABLES + 1, -1)
    pairs = tf.gather(products, left * (TABLES + 1) + right, axis=1)
    return tf_perceptron(tf.concat([bottom, pairs], axis=1), parameters["top"])[:, 0]


def tf_dlrm_loss(parameters, dense, ids, labels):
    logits = tf_dlrm(parameters, dense, ids, labels)
    return tf.reduce_mean(tf.math.softplus(logits) - labels * logits)


@step("tf-dlrm-inference", "DLRM: inference in TensorFlow", "TensorFlow", training=False)
@step("tf-dlrm-training", "DLRM: training in TensorFlow, looked-up rows only", "TensorFlow", training=True)
def dlrm_in_tensorflow(training):
    parameters, batch = dlrm_arrays()
    return in_tensorflow(tf_dlrm, tf_dlrm_loss, parameters, batch, training)


# Graph networks of two layers.

NODES, DEGREE, FEATURES, CLASSES = 100_000, 16, 64, 16


def graph_arrays(attention: bool):
    random = np.random.default_rng(29)
    _, receivers, senders = rows.graph(NODES, DEGREE)
    widths = (FEATURES, FEATURES, CLASSES)
    parameters = [
        {"dense": random.standard_normal((wide, next_)).astype(np.float32) / np.float32(np.sqrt(wide))}
        | ({"left": random.random(next_, np.float32), "right": random.random(next_, np.float32)} if attention else {})
        for wide, next_ in zip(widths, widths[1:])
    ]
    degrees = np.bincount(receivers, minlength=NODES).astype(np.float32)
    norm = 1 / np.sqrt(np.maximum(degrees, 1))
    weights = (norm[receivers] * norm[senders]).astype(np.float32)
    labels = random.integers(0, CLASSES, NODES).astype(np.int32)
    return parameters, (random.random((NODES, FEATURES), np.float32), senders, receivers, weights, labels)


def gcn(parameters, x, senders, receivers, weights, labels):
    for number, layer in enumerate(parameters):
        x = x @ layer["dense"]
        messages = weights[:, None] * jnp.take(x, senders, axis=0, mode="clip")
        x = jax.ops.segment_sum(messages, receivers, NODES, indices_are_sorted=True)
        x = jax.nn.relu(x) if number == 0 else x
    return x


def gat(parameters, x, senders, receivers, weights, labels):
    for number, layer in enumerate(parameters):
        x = x @ layer["dense"]
        x = rows.gat_aggregate(x, x @ layer["left"], x @ layer["right"], senders, receivers, NODES)
        x = jax.nn.elu(x) if number == 0 else x
    return x


def cross_entropy(model, parameters, *batch):
    logits = jax.nn.log_softmax(model(parameters, *batch))
    return -(logits * jax.nn.one_hot(batch[-1], CLASSES)).sum(axis=1).mean()


@step("gcn-inference", "GCN, 1e5 nodes, degree 16, 64 features: inference in JAX", "JAX", model=gcn, training=False)
@step("gcn-training", "GCN: training in JAX", "JAX", model=gcn, training=True)
@step("gat-inference", "GAT, 1e5 nodes, degree 16, 64 features: inference in JAX", "JAX", model=gat, training=False)
@step("gat-training", "GAT: training in JAX", "JAX", model=gat, training=True)
def graph_network_in_jax(model, training):
    parameters, batch = graph_arrays(model is gat)
    return in_jax(functools.partial(sgd, functools.partial(cross_entropy, model)) if training else model, parameters, batch, training)


def tf_gcn(parameters, x, senders, receivers, weights, labels):
    for number, layer in enumerate(parameters):
        x = x @ layer["dense"]
        x = tf.math.unsorted_segment_sum(weights[:, tf.newaxis] * tf.gather(x, senders), receivers, NODES)
        x = tf.nn.relu(x) if number == 0 else x
    return x


def tf_gat(parameters, x, senders, receivers, weights, labels):
    for number, layer in enumerate(parameters):
        x = x @ layer["dense"]
        left, right = (tf.linalg.matvec(x, layer[side]) for side in ("left", "right"))
        x = rows.tf_gat_aggregate(x, left, right, senders, receivers, NODES)
        x = tf.nn.elu(x) if number == 0 else x
    return x


def tf_cross_entropy(model, parameters, *batch):
    logits = tf.nn.log_softmax(model(parameters, *batch))
    return -tf.reduce_mean(tf.reduce_sum(logits * tf.one_hot(batch[-1], CLASSES), axis=1))


@step("tf-gcn-inference", "GCN: inference in TensorFlow", "TensorFlow", model=tf_gcn, training=False)
@step("tf-gcn-training", "GCN: training in TensorFlow", "TensorFlow", model=tf_gcn, training=True)
@step("tf-gat-inference", "GAT: inference in TensorFlow", "TensorFlow", model=tf_gat, training=False)
@step("tf-gat-training", "GAT: training in TensorFlow", "TensorFlow", model=tf_gat, training=True)
def graph_network_in_tensorflow(model, training):
    parameters, batch = graph_arrays(model is tf_gat)
    return in_tensorflow(model, functools.partial(tf_cross_entropy, model), parameters, batch, training)
