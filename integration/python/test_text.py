"""XLA's own parser reads what we print, and sees the same module in it."""

import pytest
from conftest import CASES
from jaxlib import _hlo

NAMES = sorted(path.parent.name for path in CASES.glob("*/00-input.hlo"))


def as_xla_prints(text):
    options = _hlo.HloPrintOptions()
    options.print_large_constants = True
    return _hlo.hlo_module_from_text(text).to_string(options)


@pytest.mark.parametrize("name", NAMES)
def test_xla_sees_the_same_module_in_our_text(name, exchange):
    ours = (exchange / name / "print.hlo").read_text()
    assert as_xla_prints(ours) == as_xla_prints((CASES / name / "00-input.hlo").read_text())
