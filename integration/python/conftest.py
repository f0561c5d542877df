"""What all framework tests share."""

import json
import os
from pathlib import Path

# Before any framework is imported: no accelerator is looked for, no start-up notices are printed.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

CASES = Path(__file__).resolve().parents[1] / "cases"


def exchange_folder() -> Path:
    """Where the Rust side put what it computed: a folder for each case, see `tests/frameworks.rs`."""
    folder = os.environ.get("HLO2DAE_EXCHANGE")
    if not folder:
        raise pytest.UsageError("HLO2DAE_EXCHANGE is not set; run `cargo test -p hlo2dae-integration --test frameworks`")
    return Path(folder)


def entries(name):
    """The lines of what `src/texts.rs` has written, one at a time."""
    with open(exchange_folder() / f"{name}.jsonl", encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.fixture(scope="session")
def exchange() -> Path:
    return exchange_folder()
