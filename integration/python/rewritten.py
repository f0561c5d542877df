"""Whole models with their regions cut out, in XLA: do they compute what they did before?

``rewritten.py MODELS`` reads names from its input, NAME.hlo on each line. It runs each text of the folder MODELS as it is and with every region
replaced by a call of the library, both by XLA and on the arguments that MODELS/corpus.py makes, and prints what it is about to run and then,
behind ``= ``, what came of it.
A module that TensorFlow printed, before any optimiser saw it, runs with its calls twice more: as StableHLO, and inside of TensorFlow.
"""

import importlib.util
import sys
from pathlib import Path

import hlo2dae
import hlo2dae.jax
import jax
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import xla

#: Rounding of sums in another order, over all elements of a result, for each element type.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2}

#: How the names of texts begin that TensorFlow printed.
TENSORFLOW = ("tf", "keras")

#: What TensorFlow's op for StableHLO says of dimensions that are known up to a bound only.
DYNAMIC = "Module has dynamic shapes"

#: A norm below this is zero up to rounding.
NOISE = float(np.finfo(np.float32).eps)


def disagreement(expected, found) -> str | None:
    """What is wrong with an array: floats are held to the norm of their difference, all others to the bit."""
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return f"{found.dtype}{found.shape} for {expected.dtype}{expected.shape}"
    tolerance = TOLERANCE.get(expected.dtype.name)
    if tolerance is None:
        return None if np.array_equal(expected, found) else "the values differ"
    wide = [array.astype(np.float64) for array in (expected, found)]
    finite = np.isfinite(wide[0])
    if not np.array_equal(np.where(finite, 0, wide[0]), np.where(np.isfinite(wide[1]), 0, wide[1]), equal_nan=True):
        return "other elements are infinite or NaN"
    expected, found = (np.where(finite, array, 0) for array in wide)
    norm, error = np.linalg.norm(expected), np.linalg.norm(expected - found)
    if error <= tolerance * norm or max(norm, error) < NOISE:
        return None
    return f"off by {error:.2e}, where the norm is {norm:.2e}"


def compare(expected, found) -> str:
    """``equal``, or what is wrong with the first result that is not."""
    if [len(shards) for shards in expected] != [len(shards) for shards in found]:
        return "DIFFERENT: another number of results"
    for number, (ours, theirs) in enumerate(zip(found, expected)):
        for partition, (our, their) in enumerate(zip(ours, theirs)):
            if problem := disagreement(their, our):
                return f"DIFFERENT: out{number} of partition {partition} {problem}"
    return "equal"


def in_tensorflow(stablehlo: str, arrays, expected) -> str:
    """What comes of a module that TensorFlow runs with XLA."""
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    import hlo2dae.tf

    hlo2dae.tf.register()

    @tf.function(jit_compile=True)
    def function(*tensors):
        return gen_xla_ops.xla_call_module(
            args=tensors,
            version=9,
            module=stablehlo,
            Sout=[array.shape for [array] in expected],
            Tout=[tf.as_dtype(array.dtype) for [array] in expected],
            platforms=["CPU"],
            dim_args_spec=[],
            function_list=[],
            has_token_input_output=False,
            disabled_checks=[],
        )

    try:
        found = [[tensor.numpy()] for tensor in function(*map(tf.constant, arrays))]
    except tf.errors.InvalidArgumentError as error:
        # Its op takes no dimensions that are known up to a bound only, as those of a boolean mask are.
        if DYNAMIC not in str(error):
            raise
        return f"TensorFlow refuses it: {DYNAMIC}"
    return f"in TensorFlow {compare(expected, found)}"


def run(models: Path, name: str) -> str:
    """What came of one text."""
    text = (models / name).read_text()
    optimized = name.endswith(".opt.hlo")
    spec = importlib.util.spec_from_file_location("corpus", models / "corpus.py")
    corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(corpus)
    description = corpus.describe(name.removesuffix(".hlo").removesuffix(".opt"), models)
    arrays = [corpus.argument(argument) for argument in description["args"]]
    # XLA may end the process.
    print("the module", flush=True)
    try:
        expected = xla.Executable(text, optimized)(*arrays)
    except jax.errors.JaxRuntimeError as error:
        return f"XLA refuses the module: {xla.sentence(error)}"
    print("the calls", flush=True)
    hlo2dae.jax.register()
    module = hlo2dae.compile(text)
    executable = xla.Executable(module.emit("rewritten-hlo"), optimized)
    found = executable(*arrays)
    came = [compare(expected, found)]
    if executable.partitions > 1:
        came.append(f"{executable.partitions} partitions")
    if not module.regions:
        came.append("no region")
    if name.startswith(TENSORFLOW) and not optimized:
        stablehlo = module.emit("stablehlo")
        print("StableHLO", flush=True)
        found = xla.Executable(text, stablehlo=stablehlo)(*arrays)
        came.append(f"as StableHLO {compare(expected, found)}")
        came.append(in_tensorflow(stablehlo, arrays, expected))
    return ", ".join(came)


if __name__ == "__main__":
    for line in sys.stdin:
        print("=", run(Path(sys.argv[1]), line.strip()), flush=True)
