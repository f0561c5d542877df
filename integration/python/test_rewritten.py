"""A case's module with every region replaced by a call of the library, in XLA, computes what the module does."""

import hlo2dae
import hlo2dae.jax
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import pytest
import xla
from conftest import CASES
from rewritten import compare

OUTLINES = sorted(path for path in (CASES.parent / "outlines").glob("*.hlo") if not path.name.endswith(".calls.hlo"))
TEXTS = sorted(path.relative_to(CASES) for path in CASES.glob("*/00-input.hlo"))



def executables(text):
    """The module as it is, and with its regions cut out: as HLO and, unless an optimiser has seen it, as StableHLO."""
    hlo2dae.jax.register()
    module = hlo2dae.compile(text)
    assert module.regions
    optimized = "is_scheduled=true" in text.split("\n", 1)[0]
    yield from (xla.Executable(text, optimized) for text in (text, module.emit("rewritten-hlo")))
    if not optimized:
        yield xla.Executable(text, stablehlo=module.emit("stablehlo"))


def arguments(values, dtypes):
    """The arrays arg0, arg1, ..."""
    return [values[f"arg{number}"].view(dtype) for number, dtype in enumerate(dtypes)]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_calls_in_xla_compute_what_the_module_does(path, exchange):
    before, *after = executables((CASES / path).read_text())
    sets = sorted((exchange / path.parent).glob("*.npz"))
    assert sets
    for values in map(np.load, sets):
        arrays = arguments(values, before.dtypes)
        expected = before(*arrays)
        assert all(compare(expected, executable(*arrays)) == "equal" for executable in after)


@pytest.mark.parametrize("path", OUTLINES, ids=lambda path: path.stem)
def test_what_stands_around_calls_survives(path, exchange):
    before, *after = executables(path.read_text())
    arrays = arguments(np.load(exchange / "outlines" / f"{path.stem}.npz"), before.dtypes)
    expected = before(*arrays)
    assert all(compare(expected, executable(*arrays)) == "equal" for executable in after)
