"""Programs inside of JAX functions."""

import concurrent.futures

import hlo2dae
import hlo2dae.jax
import jax
import jax.numpy as jnp
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import pytest
from programs import EDGES, ELEMENTS, EMBEDDING_BAG, TWO_TABLES, gather, small_table, table_and_ids

BAG = jax.ShapeDtypeStruct((6, 8), jnp.float32)


def with_xla(table, ids):
    """What `EMBEDDING_BAG` says, in JAX's own words, between other operations."""
    return 2 * jnp.take(table + 1, ids, axis=0, mode="clip").sum(axis=1)


@jax.jit
def with_hlo2dae(table, ids):
    return 2 * hlo2dae.jax.call(EMBEDDING_BAG, table + 1, ids)


def works():
    table, ids = table_and_ids()
    np.testing.assert_array_equal(with_hlo2dae(table, ids), jax.jit(with_xla)(table, ids))


def raw(target_result=BAG, **attributes):
    """The custom call as somebody would write it without the package's checks."""
    hlo2dae.jax.register()
    function = jax.jit(lambda *arrays: jax.ffi.ffi_call("hlo2dae", target_result)(*arrays, **attributes))
    return lambda *arrays: jax.block_until_ready(function(*arrays))


def test_a_jitted_function_gives_the_numbers_of_xla():
    works()


def test_a_call_works_without_jit():
    table, ids = table_and_ids(1)
    np.testing.assert_array_equal(2 * hlo2dae.jax.call(EMBEDDING_BAG, table + 1, ids), with_xla(table, ids))


@pytest.mark.parametrize("engine", ["region", "scf", "slc", "dlc", "emulator"])
def test_every_engine_gives_the_numbers_of_xla(engine):
    table, ids = table_and_ids(2)
    ours = jax.jit(lambda table, ids: hlo2dae.jax.call(EMBEDDING_BAG, table, ids, engine=engine))(table, ids)
    np.testing.assert_array_equal(ours, jnp.take(table, ids, axis=0, mode="clip").sum(axis=1))


def test_several_outputs_come_back_as_a_tuple():
    random = np.random.default_rng(3)
    left = random.random((50, 8), np.float32)
    right = np.arange(50, dtype=np.int32)
    ids = np.array([0, 49, 7, -3, 50, 7], np.int32)
    rows, labels = jax.jit(lambda *arrays: hlo2dae.jax.call(TWO_TABLES, *arrays))(left, right, ids)
    np.testing.assert_array_equal(rows, left[ids.clip(0, 49)])
    np.testing.assert_array_equal(labels, right[ids.clip(0, 49)])


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_every_element_type_passes_unchanged(dtype):
    with jax.enable_x64(True):
        table = np.arange(27).reshape(9, 3).astype(dtype)
        ids = np.array([8, 0, 3, 3, 5], np.int32)
        ours = jax.jit(lambda table, ids: hlo2dae.jax.call(gather(ELEMENTS[dtype]), table, ids))(table, ids)
        assert ours.dtype == table.dtype
        np.testing.assert_array_equal(ours, table[ids])


@pytest.mark.parametrize("edge", EDGES)
def test_ranks_and_sizes_at_the_edge(edge):
    program, arguments, expected = EDGES[edge]
    ours = jax.jit(lambda *arrays: hlo2dae.jax.call(program, *arrays))(*arguments(small_table()))
    np.testing.assert_array_equal(ours, expected(small_table()))


def test_the_call_gets_and_gives_row_major_arrays():
    table, ids = table_and_ids(7)
    ours = jax.jit(lambda table, ids: hlo2dae.jax.call(EMBEDDING_BAG, table.T, ids.T).T)(table.T.copy(), ids.T.copy())
    np.testing.assert_array_equal(ours, table[ids.clip(0, 49)].sum(axis=1).T)


def test_two_call_sites_in_one_function_keep_their_programs_apart():
    table, ids = table_and_ids(4)
    labels = np.arange(9, dtype=np.float32).repeat(3).reshape(9, 3)
    rows = np.array([8, 0, 3, 3, 5], np.int32)

    @jax.jit
    def both(table, ids, labels, rows):
        return hlo2dae.jax.call(EMBEDDING_BAG, table, ids), hlo2dae.jax.call(gather("f32"), labels, rows)

    bags, gathered = both(table, ids, labels, rows)
    np.testing.assert_array_equal(bags, table[ids.clip(0, 49)].sum(axis=1))
    np.testing.assert_array_equal(gathered, labels[rows])


def test_a_call_can_be_mapped():
    table, _ = table_and_ids()
    many = np.stack([table_and_ids(seed)[1] for seed in range(3)])
    ours = jax.jit(jax.vmap(lambda ids: hlo2dae.jax.call(EMBEDDING_BAG, table, ids)))(many)
    np.testing.assert_array_equal(ours, table[many.clip(0, 49)].sum(axis=2))


def test_one_executable_serves_several_threads_at_once():
    cases = [table_and_ids(seed) for seed in range(32)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda case: np.asarray(with_hlo2dae(*case)), cases))
    for case, ours in zip(cases, results):
        np.testing.assert_array_equal(ours, with_xla(*case))


def test_the_package_refuses_a_wrong_shape_when_it_traces():
    table, ids = table_and_ids()
    with pytest.raises(hlo2dae.InvalidArgument, match=r"%ids .*wrong shape: expected int32\[6,4\], found int32\[6,3\]"):
        with_hlo2dae(table, ids[:, :3])
    works()


def test_the_package_refuses_a_wrong_element_type_when_it_traces():
    table, ids = table_and_ids()
    with pytest.raises(ValueError, match=r"%ids .*wrong element type: expected int32\[6,4\], found int16\[6,4\]"):
        with_hlo2dae(table, ids.astype(np.int16))
    works()


def test_the_package_refuses_a_wrong_number_of_arrays():
    table, _ = table_and_ids()
    with pytest.raises(hlo2dae.InvalidArgument, match="expected 2, found 1"):
        hlo2dae.jax.call(EMBEDDING_BAG, table)


def test_the_package_says_what_64_bits_need():
    table, ids = np.zeros((9, 3)), np.zeros(5, np.int32)
    with jax.enable_x64(False), pytest.raises(hlo2dae.InvalidArgument, match="float64"):
        hlo2dae.jax.call(gather("f64"), table, ids)


WRONG_CALLS = {
    "a wrong shape": (dict(program=EMBEDDING_BAG), BAG, (50, 8), (6, 3), np.int32, r"input %ids has the wrong shape: expected s32\[6,4\], found s32\[6,3\]"),
    "a wrong rank": (dict(program=EMBEDDING_BAG), BAG, (50, 8), (24,), np.int32, r"input %ids has the wrong shape: expected s32\[6,4\], found s32\[24\]"),
    "a wrong element type": (dict(program=EMBEDDING_BAG), BAG, (50, 8), (6, 4), np.float32, "input %ids has the wrong element type: expected s32, found f32"),
    "a wrong result": (dict(program=EMBEDDING_BAG), jax.ShapeDtypeStruct((6, 9), jnp.float32), (50, 8), (6, 4), np.int32, r"output %out has the wrong shape: expected f32\[6,8\], found f32\[6,9\]"),
    "too many results": (dict(program=EMBEDDING_BAG), [BAG, BAG], (50, 8), (6, 4), np.int32, "wrong number of outputs: expected 1, found 2"),
    "an unknown engine": (dict(program=EMBEDDING_BAG, engine="abacus"), BAG, (50, 8), (6, 4), np.int32, "no engine `abacus`"),
    "an unknown attribute": (dict(program=EMBEDDING_BAG, motor="dlc"), BAG, (50, 8), (6, 4), np.int32, "unknown attribute `motor`: expected `program` or `engine`"),
    "no program": (dict(), BAG, (50, 8), (6, 4), np.int32, "no attribute `program`"),
    "a program that is not a string": (dict(program=7), BAG, (50, 8), (6, 4), np.int32, "attribute `program` is not a string"),
    "a corrupt program": (dict(program=EMBEDDING_BAG[:-40]), BAG, (50, 8), (6, 4), np.int32, "expected"),
    "a program of bytes": (dict(program="\0\x01\x02"), BAG, (50, 8), (6, 4), np.int32, "expected"),
}


@pytest.mark.parametrize("mistake", WRONG_CALLS)
def test_xla_raises_what_hlo2dae_says_and_lives_on(mistake):
    attributes, result, table_shape, ids_shape, ids_dtype, sentence = WRONG_CALLS[mistake]
    with pytest.raises(Exception, match=sentence) as caught:
        raw(result, **attributes)(np.zeros(table_shape, np.float32), np.zeros(ids_shape, ids_dtype))
    assert "hlo2dae: " in str(caught.value)
    works()
