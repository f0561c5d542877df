"""XLA's own parser reads what we print, and prints the same."""

import pytest
from conftest import CASES
from jaxlib import _hlo

NAMES = sorted(path.parent.name for path in CASES.glob("*/00-input.hlo"))


def as_xla_prints(text):
    options = _hlo.HloPrintOptions()
    options.print_large_constants = True
    return _hlo.hlo_module_from_text(text).to_string(options)


def blocks(text):
    """Header, source tables and computations; their order says nothing, but callees come before callers."""
    return sorted(block.strip("\n") for block in text.split("\n\n") if block.strip())


@pytest.mark.parametrize("name", NAMES)
def test_our_text_is_the_one_that_xla_prints(name, exchange):
    ours = (exchange / name / "print.hlo").read_text().rstrip("\n")
    dump = (CASES / name / "00-input.hlo").read_text()
    assert blocks(ours) == blocks(as_xla_prints(dump).rstrip("\n"))
    assert blocks(ours) == blocks(as_xla_prints(ours).rstrip("\n"))
