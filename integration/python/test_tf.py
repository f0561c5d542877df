"""Programs inside of TensorFlow functions."""

import subprocess
import sys

import hlo2dae
import hlo2dae.tf
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import pytest
import tensorflow as tf
from programs import EDGES, ELEMENTS, EMBEDDING_BAG, TWO_TABLES, gather, small_table, table_and_ids
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.compiler.tf2xla.python import xla

STYLES = {"typed": hlo2dae.tf.call, "untyped": hlo2dae.tf.call_untyped}


@tf.function(jit_compile=True)
def with_xla(table, ids):
    """What `EMBEDDING_BAG` says, in TensorFlow's own words, between other operations."""
    return 2 * tf.reduce_sum(tf.gather(table + 1, ids), axis=1)


def with_hlo2dae(call, **options):
    return tf.function(lambda table, ids: 2 * call(EMBEDDING_BAG, table + 1, ids, **options), jit_compile=True)


def works(call=hlo2dae.tf.call):
    table, ids = (tf.constant(array) for array in table_and_ids())
    np.testing.assert_array_equal(with_hlo2dae(call)(table, ids), with_xla(table, tf.clip_by_value(ids, 0, 49)))


@pytest.mark.parametrize("style", STYLES)
def test_a_jitted_function_gives_the_numbers_of_xla(style):
    works(STYLES[style])


def test_the_typed_call_works_eagerly_and_without_jit_compile():
    table, ids = (tf.constant(array) for array in table_and_ids(1))
    expected = with_xla(table, tf.clip_by_value(ids, 0, 49))
    np.testing.assert_array_equal(2 * hlo2dae.tf.call(EMBEDDING_BAG, table + 1, ids), expected)
    graph = tf.function(lambda table, ids: 2 * hlo2dae.tf.call(EMBEDDING_BAG, table + 1, ids))
    np.testing.assert_array_equal(graph(table, ids), expected)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("engine", ["region", "scf", "slc", "dlc", "emulator"])
def test_every_engine_gives_the_numbers_of_xla(style, engine):
    table, ids = (tf.constant(array) for array in table_and_ids(2))
    ours = with_hlo2dae(STYLES[style], engine=engine)(table, ids)
    np.testing.assert_array_equal(ours, with_xla(table, tf.clip_by_value(ids, 0, 49)))


@pytest.mark.parametrize("style", STYLES)
def test_several_outputs_come_back_as_a_tuple(style):
    random = np.random.default_rng(3)
    left = random.random((50, 8), np.float32)
    right = np.arange(50, dtype=np.int32)
    ids = np.array([0, 49, 7, -3, 50, 7], np.int32)
    function = tf.function(lambda *arrays: STYLES[style](TWO_TABLES, *arrays), jit_compile=True)
    rows, labels = function(*(tf.constant(array) for array in (left, right, ids)))
    np.testing.assert_array_equal(rows, left[ids.clip(0, 49)])
    np.testing.assert_array_equal(labels, right[ids.clip(0, 49)])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", ELEMENTS)
def test_every_element_type_passes_unchanged(style, dtype):
    table = np.arange(27).reshape(9, 3).astype(dtype)
    ids = np.array([8, 0, 3, 3, 5], np.int32)
    function = tf.function(lambda table, ids: STYLES[style](gather(ELEMENTS[dtype]), table, ids), jit_compile=True)
    ours = function(tf.constant(table), tf.constant(ids))
    assert ours.dtype.as_numpy_dtype == table.dtype
    np.testing.assert_array_equal(ours.numpy(), table[ids])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("edge", EDGES)
def test_ranks_and_sizes_at_the_edge(style, edge):
    program, arguments, expected = EDGES[edge]
    function = tf.function(lambda *arrays: STYLES[style](program, *arrays), jit_compile=True)
    ours = function(*(tf.constant(array) for array in arguments(small_table())))
    np.testing.assert_array_equal(ours, expected(small_table()))


@pytest.mark.parametrize("style", STYLES)
def test_the_call_gets_and_gives_row_major_arrays(style):
    @tf.function(jit_compile=True)
    def function(table, ids):
        return tf.transpose(STYLES[style](EMBEDDING_BAG, tf.transpose(table), tf.transpose(ids)))

    table, ids = table_and_ids(7)
    np.testing.assert_array_equal(function(table.T.copy(), ids.T.copy()), table[ids.clip(0, 49)].sum(axis=1).T)


def test_a_saved_model_runs_in_another_process(tmp_path):
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((50, 8), tf.float32), tf.TensorSpec((6, 4), tf.int32)])
        def __call__(self, table, ids):
            return 2 * hlo2dae.tf.call(EMBEDDING_BAG, table + 1, ids)

    table, ids = table_and_ids(5)
    tf.saved_model.save(Model(), str(tmp_path / "model"))
    np.savez(tmp_path / "arguments.npz", table=table, ids=ids)
    code = f"""
import hlo2dae.tf, numpy, tensorflow
hlo2dae.tf.register()
arguments = numpy.load({str(tmp_path / "arguments.npz")!r})
model = tensorflow.saved_model.load({str(tmp_path / "model")!r})
numpy.save({str(tmp_path / "out.npy")!r}, model(arguments["table"], arguments["ids"]))
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert other.returncode == 0, other.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), with_xla(table, ids.clip(0, 49)))


@pytest.mark.parametrize("style", STYLES)
def test_the_package_refuses_wrong_arrays_when_it_traces(style):
    table, ids = (tf.constant(array) for array in table_and_ids())
    call = STYLES[style]
    with pytest.raises(hlo2dae.InvalidArgument, match=r"%ids .*wrong shape: expected int32\[6,4\], found int32\[6,3\]"):
        with_hlo2dae(call)(table, ids[:, :3])
    with pytest.raises(ValueError, match=r"%ids .*wrong element type: expected int32\[6,4\], found int64\[6,4\]"):
        with_hlo2dae(call)(table, tf.cast(ids, tf.int64))
    with pytest.raises(hlo2dae.InvalidArgument, match="expected 2, found 1"):
        call(EMBEDDING_BAG, table)
    unknown = tf.function(with_hlo2dae(call), input_signature=[tf.TensorSpec((50, 8)), tf.TensorSpec((None, 4), tf.int32)])
    with pytest.raises(hlo2dae.InvalidArgument, match="%ids .*not known when it is traced"):
        unknown(table, ids)
    works(call)


def config(**attributes):
    return ", ".join(f"{name} = {hlo2dae.tf._call._quoted(text)}" for name, text in attributes.items())


def raw_typed(attributes, ids_type="6x4xi32", result="6x8xf32", results=1):
    """The typed call as somebody would write it without the package's checks."""
    hlo2dae.tf.register()
    all_results = ", ".join([f"tensor<{result}>"] * results)
    names = ", ".join(f"%r#{i}" for i in range(results)) if results > 1 else "%r"
    module = f"""module {{
      func.func public @main(%table: tensor<50x8xf32>, %ids: tensor<{ids_type}>) -> ({all_results}) {{
        %r{f":{results}" if results > 1 else ""} = stablehlo.custom_call @hlo2dae(%table, %ids)
          {{api_version = 4 : i32, backend_config = {{{attributes}}}}}
          : (tensor<50x8xf32>, tensor<{ids_type}>) -> ({all_results})
        return {names} : {all_results}
      }}
    }}"""
    shape = [int(size) for size in result.split("x")[:-1]]

    @tf.function(jit_compile=True)
    def function(table, ids):
        return gen_xla_ops.xla_call_module(
            args=[table, ids],
            version=9,
            module=module,
            Sout=[shape] * results,
            Tout=[tf.float32] * results,
            platforms=["CPU"],
            dim_args_spec=[],
            function_list=[],
            has_token_input_output=False,
            disabled_checks=[],
        )

    *sizes, element = ids_type.split("x")
    ids = tf.zeros([int(size) for size in sizes], {"i32": tf.int32, "f32": tf.float32}[element])
    return function(tf.zeros((50, 8)), ids)


PROGRAM = config(program=EMBEDDING_BAG)

WRONG_CALLS = {
    "a wrong shape": (dict(attributes=PROGRAM, ids_type="6x3xi32"), r"input %ids has the wrong shape: expected s32\[6,4\], found s32\[6,3\]"),
    "a wrong element type": (dict(attributes=PROGRAM, ids_type="6x4xf32"), "input %ids has the wrong element type: expected s32, found f32"),
    "a wrong result": (dict(attributes=PROGRAM, result="6x9xf32"), r"output %out has the wrong shape: expected f32\[6,8\], found f32\[6,9\]"),
    "too many results": (dict(attributes=PROGRAM, results=2), "wrong number of outputs: expected 1, found 2"),
    "an unknown engine": (dict(attributes=config(engine="abacus", program=EMBEDDING_BAG)), "no engine `abacus`"),
    "an unknown attribute": (dict(attributes=config(motor="dlc", program=EMBEDDING_BAG)), "unknown attribute `motor`: expected `program` or `engine`"),
    "no program": (dict(attributes=""), "no attribute `program`"),
    "a program that is not a string": (dict(attributes="program = 7 : i32"), "attribute `program` is not a string"),
    "a corrupt program": (dict(attributes=config(program=EMBEDDING_BAG[:-40])), "expected"),
}


@pytest.mark.parametrize("mistake", WRONG_CALLS)
def test_the_typed_call_raises_what_hlo2dae_says_and_tensorflow_lives_on(mistake):
    arguments, sentence = WRONG_CALLS[mistake]
    with pytest.raises(tf.errors.OpError, match=sentence) as caught:
        raw_typed(**arguments)
    assert "hlo2dae: " in caught.value.message
    works()


@pytest.mark.parametrize(
    "opaque, sentence",
    [(EMBEDDING_BAG[:-40], "expected"), ("", "expected"), (f"engine abacus\n{EMBEDDING_BAG}", "no engine `abacus`")],
)
def test_the_untyped_call_raises_what_hlo2dae_says_and_tensorflow_lives_on(opaque, sentence):
    hlo2dae.tf.register()
    bag = [tf.TensorSpec((6, 8), tf.float32)]
    function = tf.function(
        lambda *arrays: xla.custom_call_v2("hlo2dae_untyped", arrays, bag, backend_config=opaque), jit_compile=True
    )
    with pytest.raises(tf.errors.OpError, match=sentence) as caught:
        function(*(tf.constant(array) for array in table_and_ids()))
    assert "hlo2dae: " in caught.value.message
    works(hlo2dae.tf.call_untyped)


def test_tensorflow_and_jax_share_the_library_in_one_process():
    import hlo2dae.jax

    works()
    table, ids = table_and_ids(6)
    np.testing.assert_array_equal(
        hlo2dae.jax.call(EMBEDDING_BAG, table, ids), hlo2dae.tf.call(EMBEDDING_BAG, table, ids)
    )
    works()
