"""The reference evaluator agrees with the framework that a dump came from, on every set of inputs of its case."""

import tomllib

import jax
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import pytest
import tensorflow as tf
from conftest import CASES
from dumps import dlrm, jax_models, tf_models  # noqa: F401: they register their models
from dumps.model import MODELS

#: How many units in the last place a sum may be off when it is added up in another order.
REASSOCIATED_ULPS = 64


def run(model, arrays):
    if model.framework == "jax":
        with jax.enable_x64(model.x64):
            return np.asarray(jax.jit(model.function)(*arrays))
    compiled = tf.function(model.function, jit_compile=True)
    return compiled(*(tf.constant(a, dtype=dtype) for a, (dtype, _) in zip(arrays, model.arguments.values()))).numpy()


def assert_agree(ours, theirs, tolerance):
    assert ours.shape == theirs.shape
    if tolerance == "exact":
        np.testing.assert_array_equal(ours, theirs)
        return
    epsilon = float(ml_dtypes.finfo(theirs.dtype).eps)
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    ulps = {"reassociated": REASSOCIATED_ULPS, "rounded": 2}[tolerance]
    scale = np.max(np.abs(theirs), where=np.isfinite(theirs), initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=ulps * epsilon, atol=ulps * epsilon * scale)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_reference_agrees_with_the_framework(name, exchange):
    model = MODELS[name]
    tolerance = tomllib.loads((CASES / name / "case.toml").read_text())["tolerance"]
    sets = sorted((exchange / name).glob("*.npz"))
    assert sets, "the Rust side left no values"
    for path in sets:
        values = np.load(path)
        dtypes = [np.dtype(dtype) for dtype, _ in model.arguments.values()]
        arrays = [values[f"arg{k}"].view(dtype) for k, dtype in enumerate(dtypes)]
        theirs = run(model, arrays)
        assert_agree(values["out0"].view(theirs.dtype), theirs, tolerance)
