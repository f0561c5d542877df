"""Whole models as our StableHLO, in JAX: do they compute what their dumps do?

``stablehlo.py MODELS FOLDER`` runs every unoptimised dump of the folder MODELS as it is and as FOLDER/NAME.mlir, on the arguments
that MODELS/corpus.py makes, and prints for each, separated by tabs: its name, whether the dump runs, whether the StableHLO does, the
largest difference of two elements, and a verdict. Where this XLA does not run the dump, the StableHLO's results are held to the
checksums that came with it.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

import jax
import ml_dtypes  # noqa: F401: teaches numpy the name bfloat16
import numpy as np
import xla
from rewritten import disagreement


def compare(expected, found) -> tuple[float, str]:
    """The largest difference of two elements, and a verdict: floats are held to the norm of their difference, all others to the bit."""
    if [len(shards) for shards in expected] != [len(shards) for shards in found]:
        return np.nan, "DIFFERENT: another number of results"
    largest = 0.0
    verdict = "equal"
    for number, (theirs, ours) in enumerate(zip(expected, found)):
        for their, our in zip(theirs, ours):
            if problem := disagreement(their, our):
                return np.nan, f"DIFFERENT: out{number} {problem}"
            if their.tobytes() != our.tobytes():
                verdict = "equal up to rounding"
                wide = [np.nan_to_num(array.astype(np.complex128)) for array in (their, our)]
                largest = max(largest, np.max(np.abs(wide[0] - wide[1])))
    return largest, verdict


def checked(corpus, name: str, models: Path, found) -> str:
    """A verdict on results by their checksums."""
    arrays = {f"out{number}": shards[0] for number, shards in enumerate(found)}
    arrays = {key: array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array for key, array in arrays.items()}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "outputs.npz", **arrays)
        problems = corpus.differences(name, Path(folder) / "outputs.npz", models)
    return f"DIFFERENT: {problems[0]}" if problems else "as its checksums say"


def attempt(arrays, *arguments, **options):
    """What an executable gives, and how it runs or why it does not."""
    try:
        executable = xla.Executable(*arguments, **options)
        found = executable(*arrays)
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        return None, f"no: {xla.sentence(error)}"
    return found, f"in {executable.partitions} partitions" if executable.partitions > 1 else "yes"


def run(corpus, name: str, models: Path, stablehlo: str) -> list[str]:
    """The fields of one dump's line behind its name."""
    text = (models / f"{name}.hlo").read_text()
    arrays = [corpus.argument(argument) for argument in corpus.describe(name, models)["args"]]
    expected, original = attempt(arrays, text)
    found, ours = attempt(arrays, text, stablehlo=stablehlo)
    if found is None:
        error, verdict = "-", "DIFFERENT: it does not run"
    elif expected is None:
        error, verdict = "-", checked(corpus, name, models, found)
    else:
        error, verdict = compare(expected, found)
        error = f"{error:.0e}" if error else "0"
    return [original, ours, error, verdict]


def main(models: Path, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("corpus", models / "corpus.py")
    corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(corpus)
    for path in sorted(folder.glob("*.mlir")):
        # XLA may end the process: what it was about to run stands last.
        print(path.stem, end="", flush=True)
        print("", *run(corpus, path.stem, models, path.read_text()), sep="\t", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
