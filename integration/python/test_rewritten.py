"""A case's module with every region replaced by a call of the library, in XLA, computes what the module does."""

import hlo2dae
import hlo2dae.jax
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import pytest
import xla
from conftest import CASES
from rewritten import compare

TEXTS = sorted(path.relative_to(CASES) for path in CASES.glob("*/00-input.hlo"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_calls_in_xla_compute_what_the_module_does(path, exchange):
    text = (CASES / path).read_text()
    hlo2dae.jax.register()
    module = hlo2dae.compile(text)
    optimized = "is_scheduled=true" in text.split("\n", 1)[0]
    before = xla.Executable(text, optimized)
    after = xla.Executable(module.emit("rewritten-hlo"), optimized)
    sets = sorted((exchange / path.parent).glob("*.npz"))
    assert module.regions and sets
    for values in map(np.load, sets):
        arrays = [values[name] for name in sorted((n for n in values if n.startswith("arg")), key=lambda n: int(n[3:]))]
        arrays = [array.view(dtype) for array, dtype in zip(arrays, before.dtypes)]
        assert compare(before(*arrays), after(*arrays)) == "equal"
