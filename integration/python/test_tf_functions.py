"""Whole TensorFlow functions and ready operations: values and gradients of TensorFlow, computed by our calls."""

import functools
import warnings

import hlo2dae
import hlo2dae.tf
import numpy as np
import pytest
import tensorflow as tf
from bags import FORMS, IDS, MISTAKES, SEGMENTS, SPARSE, TABLE, WEIGHTS


def bag(table, ids, weights):
    return tf.reduce_sum(tf.gather(table, ids) * weights[..., tf.newaxis], axis=1)


def equal(ours, theirs, tolerance=1e-5):
    for our, their in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
        their = np.asarray(tf.convert_to_tensor(their))
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance * max(1, np.abs(their).max()))


def gradients(function, *arrays, places):
    """Gradients of a number that depends on every element of the function's value, each in its own way."""
    tensors = [tf.convert_to_tensor(array) for array in arrays]
    with tf.GradientTape() as tape:
        sources = [tensors[place] for place in places]
        tape.watch(sources)
        value = function(*tensors)
        loss = tf.reduce_sum(tf.sin(value) * tf.reshape(tf.range(tf.size(value), dtype=value.dtype), value.shape))
    return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, sources)]


def calls(function, *arrays) -> int:
    traced = function if hasattr(function, "experimental_get_compiler_ir") else tf.function(function, jit_compile=True)
    return traced.experimental_get_compiler_ir(*map(tf.constant, arrays))(stage="hlo").count('custom_call_target="hlo2dae"')


def test_a_function_gives_the_numbers_of_tensorflow_by_our_call():
    ours = hlo2dae.tf.function(bag)
    equal(ours(TABLE, IDS, WEIGHTS), bag(TABLE, IDS, WEIGHTS))
    assert calls(ours, TABLE, IDS, WEIGHTS) == 1


@pytest.mark.parametrize("places", [[0], [2], [0, 2]])
def test_a_gradient_is_computed_by_our_calls(places):
    expected = gradients(bag, TABLE, IDS, WEIGHTS, places=places)
    eager = functools.partial(gradients, hlo2dae.tf.function(bag), places=places)
    equal(eager(TABLE, IDS, WEIGHTS), expected, 1e-4)
    jitted = tf.function(lambda *arrays: eager(*arrays), jit_compile=True)
    equal(jitted(TABLE, IDS, WEIGHTS), expected, 1e-4)
    assert calls(jitted, TABLE, IDS, WEIGHTS) >= 2


def train(wrapper, table, dense):
    """Three steps of training; the variables and the losses."""
    table, dense = tf.Variable(table), tf.Variable(dense)

    @wrapper
    def step(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.tanh(tf.reduce_sum(tf.gather(table, ids), axis=1) @ dense) ** 2)
        rows, weights = tape.gradient(loss, [table, dense])
        table.scatter_sub(tf.IndexedSlices(0.1 * rows.values, rows.indices))
        dense.assign_sub(0.1 * weights)
        return {"loss": loss}

    losses = [step(tf.constant(IDS))["loss"] for _ in range(3)]
    return losses, table.numpy(), dense.numpy()


def test_a_training_step_assigns_to_its_variables():
    dense = np.ones((8, 3), np.float32)
    equal(train(hlo2dae.tf.function, TABLE, dense), train(functools.partial(tf.function, jit_compile=True), TABLE, dense), 1e-4)


def test_a_function_may_give_nothing():
    table = tf.Variable(TABLE)

    @hlo2dae.tf.function
    def update(ids):
        table.scatter_add(tf.IndexedSlices(tf.ones(ids.shape + (8,)), ids))

    assert update(tf.constant(IDS)) is None
    expected = TABLE.copy()
    np.add.at(expected, IDS, 1.0)
    equal(table.numpy(), expected)


def test_gradients_flow_to_variables():
    table, dense = tf.Variable(TABLE), tf.Variable(np.ones((8, 3), np.float32))

    def model(ids):
        return tf.tanh(tf.reduce_sum(tf.gather(table, ids), axis=1) @ dense)

    def of_variables(function):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(tf.constant(IDS)) ** 2)
        return tape.gradient(loss, [table, dense])

    equal(of_variables(hlo2dae.tf.function(model)), of_variables(model), 1e-4)


def test_arguments_and_results_are_trees_and_static_values():
    @hlo2dae.tf.function
    def function(parameters, scale, *, ids):
        if scale > 1:
            return {"rows": scale * tf.gather(parameters["table"], ids), "ids": ids}
        return {"rows": tf.gather(parameters["table"], ids)}

    found = function({"table": tf.constant(TABLE)}, 2, ids=tf.constant(IDS))
    equal(found, {"rows": 2 * TABLE[IDS], "ids": IDS})


def test_a_function_within_a_function_is_a_part_of_it():
    inner = hlo2dae.tf.function(lambda table, ids: tf.gather(table, ids))
    outer = hlo2dae.tf.function(lambda table, ids: tf.reduce_sum(inner(table, ids), axis=1))
    equal(outer(TABLE, IDS), TABLE[IDS].sum(axis=1))
    assert calls(outer, TABLE, IDS) == 1


def test_a_shape_that_is_not_known_stays_with_xla():
    ours = hlo2dae.tf.function(lambda table, ids: tf.gather(table, ids), input_signature=[tf.TensorSpec((50, 8)), tf.TensorSpec((None,), tf.int32)])
    with pytest.warns(UserWarning, match=r"leaves a function to XLA: a shape is not known when the function is traced: int32\(None,\)"):
        equal(ours(TABLE, IDS[0]), TABLE[IDS[0]])


def test_a_function_without_regions_is_left_alone_silently():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal(hlo2dae.tf.function(lambda x: x @ tf.transpose(x))(TABLE), TABLE @ TABLE.T, 1e-4)


def test_explain_names_the_regions():
    [region] = hlo2dae.tf.explain(bag, *map(tf.constant, (TABLE, IDS, WEIGHTS))).regions
    assert {port.shape for port in region.inputs} == {(50, 8), (6, 4)}


@pytest.mark.parametrize("combiner", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", FORMS)
def test_a_bag_has_the_values_and_gradients_of_tensorflow(form, combiner):
    shape, segments, count, options = FORMS[form]
    weights = WEIGHTS.reshape(shape)

    def ours(table, weights):
        given = {} if combiner == "max" else {"weights": weights}
        return hlo2dae.tf.embedding_bag(table, IDS.reshape(shape), combiner=combiner, **options, **given)

    def plain(table, weights):
        rows, weights = tf.gather(table, IDS.ravel()), tf.reshape(weights, [-1])
        if combiner == "max":
            largest = tf.math.unsorted_segment_max(rows, segments, count)
            return tf.where(largest < -1e30, 0.0, largest)
        total = tf.math.unsorted_segment_sum(rows * weights[:, tf.newaxis], segments, count)
        size = tf.math.unsorted_segment_sum(weights, segments, count)[:, tf.newaxis]
        return total if combiner == "sum" else tf.math.divide_no_nan(total, size)

    equal(ours(TABLE, weights), plain(TABLE, weights))
    places = [0] if combiner == "max" else [0, 1]
    equal(gradients(ours, TABLE, weights, places=places), gradients(plain, TABLE, weights, places=places), 1e-4)


@pytest.mark.parametrize("combiner", ["sum", "mean"])
def test_a_sparse_lookup_is_that_of_tensorflow(combiner):
    ids = tf.sparse.from_dense(np.random.default_rng(4).integers(0, 5, (6, 7)))
    weights = ids.with_values(tf.cast(tf.range(tf.size(ids.values)), tf.float32))
    for given in (None, weights):
        ours = hlo2dae.tf.embedding_lookup_sparse(TABLE, ids, given, combiner=combiner)
        equal(ours, tf.nn.embedding_lookup_sparse(TABLE, ids, given, combiner=combiner))


def spmm(places, values, x):
    return hlo2dae.tf.spmm(values, IDS.ravel(), x, **places)


def plain_spmm(values, x):
    return tf.scatter_nd(np.stack([SEGMENTS, IDS.ravel()], 1), values, (8, 50)) @ x


#: An operation of its differentiable arguments, the arguments, and the same in plain words.
OPS = {
    "gather": (lambda table: hlo2dae.tf.gather(table, IDS), (TABLE,), lambda table: tf.gather(table, IDS)),
    "segment_sum": (
        lambda data: hlo2dae.tf.segment_sum(data, SEGMENTS, num_segments=8),
        (TABLE[:24],),
        lambda data: tf.math.unsorted_segment_sum(data, SEGMENTS, 8),
    ),
    "scatter_add": (
        lambda table, rows: hlo2dae.tf.scatter_add(table, IDS[0], rows),
        (TABLE, TABLE[:4]),
        lambda table, rows: tf.tensor_scatter_nd_add(table, IDS[0][:, None], rows),
    ),
    **{
        f"spmm of {form}": (functools.partial(spmm, places), (WEIGHTS.ravel(), TABLE), plain_spmm) for form, places in SPARSE.items()
    },
}


@pytest.mark.parametrize("name", OPS)
def test_an_operation_has_the_values_and_gradients_of_tensorflow(name):
    op, arrays, plain = OPS[name]
    equal(op(*arrays), plain(*arrays), 1e-4)
    places = range(len(arrays))
    equal(gradients(op, *arrays, places=places), gradients(plain, *arrays, places=places), 1e-4)
    assert calls(op, *arrays) == 1


@pytest.mark.parametrize(("attempt", "message"), MISTAKES)
def test_a_mistake_is_refused_with_a_reason(attempt, message):
    with pytest.raises(hlo2dae.InvalidArgument, match=message):
        attempt(hlo2dae.tf)
