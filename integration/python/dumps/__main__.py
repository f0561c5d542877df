"""Writes the dumps; see the package's documentation."""

import os
import sys
import sysconfig
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import tensorflow as tf
from jaxlib import _hlo

from . import dlrm, jax_models, tf_models  # noqa: F401: they register their models
from .model import MODELS, Model

CASES = Path(__file__).resolve().parents[2] / "cases"
INSTALLED = [sysconfig.get_paths()["purelib"], str(Path(__file__).resolve().parents[1])]


def in_full(serialized):
    """XLA's text of a serialized module with every constant written out."""
    options = _hlo.HloPrintOptions()
    options.print_large_constants = True
    return _hlo.HloModule.from_serialized_hlo_module_proto(serialized).to_string(options)


def jax_text(model: Model):
    with jax.enable_x64(model.x64):
        arguments = [jax.ShapeDtypeStruct(dims, np.dtype(dtype)) for dtype, dims in model.arguments.values()]
        lowered = jax.jit(model.function).lower(*arguments)
        return lowered.compile().as_text() if model.optimized else lowered.as_text(dialect="hlo")


def tensorflow_text(model: Model):
    arguments = [tf.TensorSpec(dims, dtype) for dtype, dims in model.arguments.values()]
    compiler_ir = tf.function(model.function, jit_compile=True).experimental_get_compiler_ir(*arguments)
    stage = "optimized_hlo" if model.optimized else "hlo"
    text = compiler_ir(stage=stage, platform_name="CPU")
    return in_full(compiler_ir(stage=f"{stage}_serialized", platform_name="CPU")) if "{...}" in text else text


TEXT = {"jax": jax_text, "tensorflow": tensorflow_text}


def write(model: Model):
    text = TEXT[model.framework](model)
    for folder in INSTALLED:
        text = text.replace(f"{folder}/", "")
    if "{...}" in text:
        sys.exit(f"{model.name}: a constant is elided")
    path = CASES / model.name / "00-input.hlo"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip("\n") + "\n")
    print(f"{model.name}: {len(text)} bytes")


def main(names):
    unknown = sorted(set(names) - set(MODELS))
    if unknown:
        sys.exit(f"no such model: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    for name in names or MODELS:
        write(MODELS[name])


main(sys.argv[1:])
