"""The package without any framework: compile, look, run, install."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hlo2dae
import ml_dtypes
import numpy as np
import pytest
from programs import EDGES, ELEMENTS, EMBEDDING_BAG, TWO_TABLES, gather, small_table, table_and_ids

ROOT = Path(__file__).resolve().parents[2]

GATHER_HLO = """\
HloModule lookup

ENTRY main {
  table = f32[50,8]{1,0} parameter(0)
  ids = s32[6,1]{1,0} parameter(1)
  ROOT rows = f32[6,8]{1,0} gather(table, ids), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,8}
}
"""


def python(code, **environment):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, cwd="/")
    assert run.returncode == 0, run.stderr
    return run.stdout


def bag():
    (region,) = hlo2dae.compile(EMBEDDING_BAG).regions
    return region


def bags(table, ids):
    return table[ids.clip(0, 49)].sum(axis=1)


def test_no_framework_is_imported():
    code = "import sys, hlo2dae; print([name for name in ('jax', 'tensorflow', 'ml_dtypes') if name in sys.modules])"
    assert python(code) == "[]\n"


def test_a_program_text_is_a_module_of_one_region():
    region = bag()
    assert region.name == "embedding_bag"
    assert region.inputs == (hlo2dae.Port("table", "float32", (50, 8)), hlo2dae.Port("ids", "int32", (6, 4)))
    assert region.outputs == (hlo2dae.Port("out", "float32", (6, 8)),)
    assert "@embedding_bag" in repr(region)


def test_hlo_text_is_compiled_to_regions_that_run():
    module = hlo2dae.compile(GATHER_HLO)
    (region,) = module.regions
    random = np.random.default_rng(1)
    table = random.random((50, 8), np.float32)
    ids = np.array([[3], [49], [0], [50], [-1], [3]], np.int32)
    by_shape = {table.shape: table, ids.shape: ids, ids[:, 0].shape: ids[:, 0]}
    rows = region.run(*(by_shape[port.shape] for port in region.inputs))
    np.testing.assert_array_equal(rows.reshape(6, 8), table[ids[:, 0].clip(0, 49)])


@pytest.mark.parametrize("make", ["jax.numpy.array", "tensorflow.constant", "numpy.array"])
def test_large_pages_are_those_of_the_array_itself(make):
    package = make.split(".")[0]
    code = f"""
import numpy, {make.rsplit(".", 1)[0]}, {package}, hlo2dae
array = {make}(numpy.arange(1 << 21, dtype=numpy.int32))
assert numpy.asarray(array).ctypes.data == numpy.asarray(array).ctypes.data
print(hlo2dae.huge_pages(array) in (True, False), bool((numpy.asarray(array) == numpy.arange(1 << 21)).all()))
"""
    assert python(code).endswith("True True\n")


def test_retained_memory_stays_until_it_is_given_back():
    code = """
import numpy, platform, hlo2dae
def after_use():
    numpy.ones(1 << 24)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20
before = after_use()
did = hlo2dae.retain_memory()
kept = after_use()
assert hlo2dae.retain_memory(False) == did == (platform.libc_ver()[0] == "glibc")
print(not did or (kept >= before + 100 and after_use() <= before + 28))
"""
    assert python(code).endswith("True\n")


def test_a_region_survives_its_module():
    region = bag()
    gc.collect()
    table, ids = table_and_ids()
    np.testing.assert_array_equal(region.run(table, ids), bags(table, ids))


@pytest.mark.parametrize("stage, word", [("regions", "region @"), ("scf", "scf."), ("slc", "slc."), ("dlc", "access")])
def test_every_stage_is_emitted_and_its_text_is_a_program_again(stage, word):
    text = bag().emit(stage)
    assert word in text
    (region,) = hlo2dae.compile(text).regions
    assert region.emit(stage) == text
    table, ids = table_and_ids()
    np.testing.assert_array_equal(region.run(table, ids), bags(table, ids))


def test_a_module_emits_all_its_regions():
    module = hlo2dae.compile(EMBEDDING_BAG)
    assert module.emit("dlc") == module.regions[0].emit("dlc")


@pytest.mark.parametrize("engine", ["region", "scf", "slc", "dlc", "emulator", None])
def test_every_engine_gives_the_numbers_of_numpy(engine):
    table, ids = table_and_ids(2)
    np.testing.assert_array_equal(bag().run(table, ids, engine=engine), bags(table, ids))


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_every_element_type_passes_unchanged(dtype):
    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    table = np.arange(27).reshape(9, 3).astype(dtype)
    ids = np.array([8, 0, 3, 3, 5], np.int32)
    (region,) = hlo2dae.compile(gather(ELEMENTS[np.dtype(dtype).name])).regions
    rows = region.run(table, ids)
    assert rows.dtype == table.dtype
    np.testing.assert_array_equal(rows, table[ids])


@pytest.mark.parametrize("edge", EDGES)
def test_ranks_and_sizes_at_the_edge(edge):
    program, arguments, expected = EDGES[edge]
    (region,) = hlo2dae.compile(program).regions
    np.testing.assert_array_equal(region.run(*arguments(small_table())), expected(small_table()))


def test_several_outputs_come_back_as_a_tuple():
    (region,) = hlo2dae.compile(TWO_TABLES).regions
    left, right = np.random.default_rng(3).random((50, 8), np.float32), np.arange(50, dtype=np.int32)
    ids = np.array([0, 49, 7, -3, 50, 7], np.int32)
    rows, labels = region.run(left, right, ids)
    np.testing.assert_array_equal(rows, left[ids.clip(0, 49)])
    np.testing.assert_array_equal(labels, right[ids.clip(0, 49)])


def test_arrays_with_strides_are_copied():
    table, ids = table_and_ids(4)
    wide = np.repeat(table, 2, axis=1)
    turned = np.asfortranarray(ids)
    np.testing.assert_array_equal(bag().run(wide[:, ::2], turned), bags(table, ids))


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "expected"),
        ("HloModule m\n\nENTRY main {\n", "expected"),
        (EMBEDDING_BAG[:-40], "expected"),
        (EMBEDDING_BAG.replace("%ids[%b, %l]", "%idx[%b, %l]"), "%idx"),
        (EMBEDDING_BAG.replace("%table[%row, %d]", "%table[%row]"), "%table has 2 dimensions, found 1"),
        ("region \0", "expected"),
    ],
)
def test_a_wrong_text_is_an_exception_with_a_sentence(text, sentence):
    with pytest.raises(hlo2dae.InvalidArgument, match=sentence):
        hlo2dae.compile(text)


def test_an_error_shows_the_place():
    with pytest.raises(ValueError) as caught:
        hlo2dae.compile(EMBEDDING_BAG.replace("%ids[%b, %l]", "%idx[%b, %l]"))
    assert "%id = read %idx[%b, %l]" in str(caught.value)


def test_wrong_arrays_and_names_are_exceptions():
    table, ids = table_and_ids()
    region = bag()
    with pytest.raises(hlo2dae.InvalidArgument, match=r"%ids .*wrong shape: expected int32\[6,4\], found int32\[6,3\]"):
        region.run(table, ids[:, :3])
    with pytest.raises(hlo2dae.InvalidArgument, match=r"%table .*wrong element type: expected float32\[50,8\], found float64"):
        region.run(table.astype(np.float64), ids)
    with pytest.raises(hlo2dae.InvalidArgument, match="wrong number of inputs.*expected 2, found 3"):
        region.run(table, ids, ids)
    with pytest.raises(hlo2dae.InvalidArgument, match="no engine `abacus`"):
        region.run(table, ids, engine="abacus")
    with pytest.raises(hlo2dae.InvalidArgument, match="no stage `nonsense`"):
        region.emit("nonsense")
    np.testing.assert_array_equal(region.run(table, ids), bags(table, ids))


def test_a_library_that_is_not_there_is_explained():
    code = "try:\n  import hlo2dae\nexcept ImportError as error:\n  print(error)"
    assert "pip install ./plugin/python" in python(code, HLO2DAE_LIBRARY="/nowhere/libhlo2dae.so")


def test_the_installed_package_finds_its_own_library(tmp_path):
    # From a copy, so that the build leaves nothing in the source tree; HLO2DAE_LIBRARY, which the tests
    # run with, makes the build take that library where it would call cargo.
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "*.so")
    source = shutil.copytree(ROOT / "plugin/python", tmp_path / "source", ignore=ignored)
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run([*command, "--target", str(site), str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    code = f"""
import hlo2dae
print(hlo2dae.__file__)
(region,) = hlo2dae.compile({EMBEDDING_BAG!r}).regions
print(region.name)
"""
    printed = python(code, PYTHONPATH=str(site), HLO2DAE_LIBRARY="")
    assert printed == f"{site / 'hlo2dae' / '__init__.py'}\nembedding_bag\n"
