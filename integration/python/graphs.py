"""Runs every module of a folder in XLA.

``graphs.py FOLDER``: each folder in it holds ``module.hlo``, sometimes ``rewritten.hlo``, and the arguments of both, ``inputs.npz``. The results
go to ``module.npz`` and ``rewritten.npz``, as out0, out1, ...; element types that numpy lacks travel as unsigned integers.
"""

import os
import sys
from pathlib import Path

# Most of the time is LLVM's, which has nothing to say about what a module means.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

import hlo2dae.jax
import ml_dtypes
import numpy as np
import xla


def main(folder: Path) -> None:
    hlo2dae.jax.register()
    for batch in sorted(folder.iterdir()):
        # XLA may end the process.
        print(batch, flush=True)
        inputs = np.load(batch / "inputs.npz")
        for text in sorted(batch.glob("*.hlo")):
            executable = xla.Executable(text.read_text())
            arrays = [inputs[f"arg{k}"].view(dtype) for k, dtype in enumerate(executable.dtypes)]
            results = [shards[0] for shards in executable(*arrays)]
            as_numpy = [r.view(np.uint16) if r.dtype == ml_dtypes.bfloat16 else r for r in results]
            np.savez(text.with_suffix(".npz"), **{f"out{k}": array for k, array in enumerate(as_numpy)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
