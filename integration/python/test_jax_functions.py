"""Whole JAX functions and ready operations: values and gradients of XLA, computed by our calls."""

import functools
import re
import warnings

import hlo2dae
import hlo2dae.jax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bags import FORMS, IDS, MISTAKES, SEGMENTS, SPARSE, TABLE, WEIGHTS


def bag(table, ids, weights):
    return (jnp.take(table, ids, axis=0, mode="clip") * weights[..., None]).sum(axis=1)


def loss(function, *arrays):
    """A number that depends on every element of the function's value, each in its own way."""
    value = function(*arrays)
    return (jnp.sin(value) * jnp.arange(value.size, dtype=value.dtype).reshape(value.shape)).sum()


def equal(ours, theirs, tolerance=1e-5):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance * max(1, np.abs(jax.tree.leaves(theirs)[0]).max())),
        ours,
        theirs,
    )


def calls(function, *arrays) -> int:
    return jax.jit(function).lower(*arrays).as_text().count("custom_call @hlo2dae")


def test_a_function_gives_the_numbers_of_xla_by_our_call():
    ours = hlo2dae.jax.jit(bag)
    equal(ours(TABLE, IDS, WEIGHTS), bag(TABLE, IDS, WEIGHTS))
    assert calls(ours, TABLE, IDS, WEIGHTS) == 1


@pytest.mark.parametrize("argnums", [0, 2, (0, 2)])
def test_a_gradient_is_computed_by_our_calls(argnums):
    ours = jax.grad(functools.partial(loss, hlo2dae.jax.jit(bag)), argnums)
    equal(ours(TABLE, IDS, WEIGHTS), jax.grad(functools.partial(loss, bag), argnums)(TABLE, IDS, WEIGHTS))
    # The gradient of the weights comes of rows that the forward pass has kept: no row is looked up for it.
    assert calls(ours, TABLE, IDS, WEIGHTS) == (1 if argnums == 2 else 2)


def test_value_and_grad_is_a_function_like_any_other():
    plain = jax.value_and_grad(functools.partial(loss, bag), (0, 2))
    ours = hlo2dae.jax.jit(plain)
    equal(ours(TABLE, IDS, WEIGHTS), plain(TABLE, IDS, WEIGHTS))
    assert calls(ours, TABLE, IDS, WEIGHTS) >= 2


def test_gradients_have_gradients():
    def second(function):
        return jax.grad(lambda weights: (jax.grad(functools.partial(loss, function), 2)(TABLE, IDS, weights) ** 2).sum())

    equal(second(hlo2dae.jax.jit(bag))(WEIGHTS), second(bag)(WEIGHTS), 1e-4)


def test_a_function_is_mapped():
    ids = np.stack([IDS, IDS[::-1]])
    ours = jax.vmap(hlo2dae.jax.jit(bag), (None, 0, None))
    equal(ours(TABLE, ids, WEIGHTS), jax.vmap(bag, (None, 0, None))(TABLE, ids, WEIGHTS))
    assert calls(ours, TABLE, ids, WEIGHTS) == 1
    mapped = jax.vmap(jax.grad(functools.partial(loss, hlo2dae.jax.jit(bag))), (None, 0, None))
    equal(mapped(TABLE, ids, WEIGHTS), jax.vmap(jax.grad(functools.partial(loss, bag)), (None, 0, None))(TABLE, ids, WEIGHTS))


def test_a_function_within_a_function_is_a_part_of_it():
    inner = hlo2dae.jax.jit(lambda table, ids: jnp.take(table, ids, axis=0, mode="clip"))
    outer = hlo2dae.jax.jit(lambda table, ids: inner(table, ids).sum(axis=1))
    equal(outer(TABLE, IDS), TABLE[IDS].sum(axis=1))
    assert calls(outer, TABLE, IDS) == 1


def test_what_a_function_closes_over_has_a_gradient():
    def outer(jit, table):
        return loss(jit(lambda weights: bag(table, IDS, weights)), WEIGHTS)

    equal(jax.grad(functools.partial(outer, hlo2dae.jax.jit))(TABLE), jax.grad(functools.partial(outer, jax.jit))(TABLE))


def test_arguments_are_trees_static_values_and_keys():
    @hlo2dae.jax.jit(static_argnames="count")
    def function(parameters, key, *, count):
        ids = jax.random.randint(key, (count,), 0, 50)
        return {"rows": parameters["table"][ids], "ids": ids}

    found = function({"table": TABLE}, jax.random.key(0), count=5)
    equal(found["rows"], TABLE[found["ids"]])


def test_a_donated_table_is_updated_where_it_lies():
    update = hlo2dae.jax.jit(lambda table, ids: table.at[ids].add(1.0, mode="drop"), donate_argnums=0)
    expected = TABLE.copy()
    np.add.at(expected, IDS, 1.0)
    table = jnp.array(TABLE)
    place = table.unsafe_buffer_pointer()
    updated = update(table, IDS)
    equal(updated, expected)
    assert table.is_deleted()
    assert updated.unsafe_buffer_pointer() == place


def test_a_result_that_is_an_argument_does_not_pass_through_the_module():
    function = hlo2dae.jax.jit(lambda table, ids: (table, jnp.take(table, ids, axis=0, mode="clip")))
    table, rows = function(TABLE, IDS)
    equal((table, rows), (TABLE, TABLE[IDS]))
    assert re.search(r"func private @hlo2dae\(.*\) -> \(?tensor<6x4x8xf32>\)? {", function.lower(TABLE, IDS).as_text())


def test_what_calls_back_into_python_stays_with_xla():
    def function(table, ids):
        scale = jax.pure_callback(lambda: np.float32(2), jax.ShapeDtypeStruct((), jnp.float32))
        return scale * table[ids]

    with pytest.warns(UserWarning, match="leaves a function to XLA: it calls back into Python"):
        equal(hlo2dae.jax.jit(function)(TABLE, IDS), 2 * TABLE[IDS])


def test_a_function_without_regions_is_left_alone_silently():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal(hlo2dae.jax.jit(lambda x: x @ x.T)(TABLE), TABLE @ TABLE.T)


def test_explain_names_the_regions():
    [region] = hlo2dae.jax.explain(bag, TABLE, IDS, WEIGHTS).regions
    assert {port.shape for port in region.inputs} == {(50, 8), (6, 4)}


def reference(table, ids, segments, count, weights, combiner):
    """Bags by their definition, one row after the other."""
    bags = [[] for _ in range(count)]
    for position, segment in enumerate(segments):
        bags[segment].append(position)
    rows = []
    for members in bags:
        row = table[np.clip(ids[members], 0, len(table) - 1)].astype(np.float64) * weights[members, None]
        if not members:
            rows.append(np.zeros(table.shape[1]))
        elif combiner == "max":
            rows.append(row.max(axis=0))
        else:
            rows.append(row.sum(axis=0) / (weights[members].sum() if combiner == "mean" else 1))
    return np.array(rows)


TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("combiner", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", FORMS)
def test_a_bag_is_what_its_definition_says(form, combiner, dtype):
    table, ids = TABLE.astype(dtype), IDS.ravel().copy()
    ids[[2, 5]] = [-1, 50]
    shape, segments, count, options = FORMS[form]
    weights = np.ones(24, np.float32) if combiner == "max" else WEIGHTS.ravel()
    given = {} if combiner == "max" else {"weights": weights.reshape(shape)}
    found = hlo2dae.jax.embedding_bag(table, ids.reshape(shape), combiner=combiner, sorted=True, **options, **given)
    assert found.dtype == table.dtype
    expected = reference(table, ids, segments, count, weights.astype(dtype).astype(np.float64), combiner)
    equal(np.asarray(found, np.float64), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("combiner", ["sum", "mean"])
@pytest.mark.parametrize("form", FORMS)
def test_a_bag_has_the_gradients_of_xla(form, combiner):
    shape, segments, count, options = FORMS[form]

    def ours(table, weights):
        return hlo2dae.jax.embedding_bag(table, IDS.reshape(shape), weights=weights, combiner=combiner, **options)

    def plain(table, weights):
        total = jax.ops.segment_sum(table[IDS.ravel()] * weights.reshape(-1, 1), segments, count)
        size = jax.ops.segment_sum(weights.ravel(), segments, count)
        return total if combiner == "sum" else total / jnp.where(size == 0, 1, size)[:, None]

    weights = WEIGHTS.reshape(shape)
    ours = jax.grad(functools.partial(loss, ours), (0, 1))
    equal(ours(TABLE, weights), jax.grad(functools.partial(loss, plain), (0, 1))(TABLE, weights), 1e-4)
    assert calls(ours, TABLE, weights) >= 2


def spmm(places, values, x):
    return hlo2dae.jax.spmm(values, IDS.ravel(), x, sorted=True, **places)


def plain_spmm(values, x):
    return jnp.zeros((8, 50)).at[SEGMENTS, IDS.ravel()].add(values) @ x


#: An operation of its differentiable arguments, the arguments, and the same in plain words.
OPS = {
    "gather": (lambda table: hlo2dae.jax.gather(table, IDS), (TABLE,), lambda table: table[IDS]),
    "segment_sum": (
        lambda data: hlo2dae.jax.segment_sum(data, SEGMENTS, num_segments=8, sorted=True),
        (TABLE[:24],),
        lambda data: jax.ops.segment_sum(data, SEGMENTS, 8),
    ),
    "scatter_add": (
        lambda table, rows: hlo2dae.jax.scatter_add(table, IDS[0], rows),
        (TABLE, TABLE[:4]),
        lambda table, rows: jnp.asarray(table).at[IDS[0]].add(rows),
    ),
    **{
        f"spmm of {form}": (functools.partial(spmm, places), (WEIGHTS.ravel(), TABLE), plain_spmm) for form, places in SPARSE.items()
    },
}


@pytest.mark.parametrize("name", OPS)
def test_an_operation_has_the_values_and_gradients_of_xla(name):
    op, arrays, plain = OPS[name]
    equal(op(*arrays), plain(*arrays), 1e-4)
    ours = jax.grad(functools.partial(loss, op), tuple(range(len(arrays))))
    theirs = jax.grad(functools.partial(loss, plain), tuple(range(len(arrays))))
    equal(ours(*arrays), theirs(*arrays), 1e-4)
    assert calls(op, *arrays) == 1


def test_an_index_outside_of_the_table_is_what_the_mode_says():
    ids = np.array([-1, 50, 3], np.int32)
    equal(hlo2dae.jax.gather(TABLE, ids), TABLE[[0, 49, 3]])
    filled = hlo2dae.jax.gather(TABLE, np.array([50, 3], np.int32), mode="fill")
    assert np.isnan(filled[0]).all()
    equal(filled[1], TABLE[3])


@pytest.mark.parametrize(
    ("attempt", "message"),
    [*MISTAKES, (lambda ops: ops.gather(TABLE, IDS, mode="wrap"), "unknown mode 'wrap': expected one of clip, fill, promise_in_bounds")],
)
def test_a_mistake_is_refused_with_a_reason(attempt, message):
    with pytest.raises(hlo2dae.InvalidArgument, match=message):
        attempt(hlo2dae.jax)
