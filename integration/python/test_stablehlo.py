"""Our StableHLO, in JAX: MLIR reads and verifies that of every text, and that of every case computes what the case's module does."""

from collections import Counter

import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import pytest
import xla
from conftest import CASES, entries
from jax._src.interpreters import mlir
from jaxlib.mlir import ir
from stablehlo import compare

TEXTS = sorted(path.relative_to(CASES) for path in CASES.glob("*/00-input.hlo"))


def problem(stablehlo, context):
    """What MLIR says against a text."""
    try:
        module = ir.Module.parse(stablehlo, context)
        return None if module.operation.verify() else "it does not verify"
    except ir.MLIRError as error:
        return str(error)


def test_mlir_reads_and_verifies_our_stablehlo():
    wrong = []
    count = Counter()
    # Making one takes longer than reading a text.
    context = mlir.make_ir_context()
    for entry in entries("texts"):
        if entry["stablehlo"] is None:
            continue
        text = entry["stablehlo"].get("text")
        count[f"{entry['source']}: {'refused' if text is None else 'printed'}"] += 1
        if text is not None and (reason := problem(text, context)):
            wrong.append(f"{entry['source']} {entry['name']}: {reason}")
    print(dict(count))
    assert count["instructions: printed"] and count["modules: printed"] and count["stablehlo: printed"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_our_stablehlo_in_jax_computes_what_the_module_does(path, exchange):
    text = (CASES / path).read_text()
    stablehlo = (exchange / path.parent / "stablehlo.mlir").read_text()
    original = xla.Executable(text, optimized="is_scheduled=true" in text.split("\n", 1)[0])
    ours = xla.Executable(text, stablehlo=stablehlo)
    sets = sorted((exchange / path.parent).glob("*.npz"))
    assert sets
    for values in map(np.load, sets):
        arrays = [values[name] for name in sorted((n for n in values if n.startswith("arg")), key=lambda n: int(n[3:]))]
        arrays = [array.view(dtype) for array, dtype in zip(arrays, original.dtypes)]
        _, verdict = compare(original(*arrays), ours(*arrays))
        assert verdict.startswith("equal")
