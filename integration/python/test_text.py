"""XLA's own parser reads what we print, and prints the same."""

import pytest
from conftest import CASES
from jaxlib import _hlo

NAMES = sorted(path.parent.name for path in CASES.glob("*/00-input.hlo"))


def as_xla_prints(text):
    options = _hlo.HloPrintOptions()
    options.print_large_constants = True
    return _hlo.hlo_module_from_text(text).to_string(options)


@pytest.mark.parametrize("name", NAMES)
def test_our_text_is_the_one_that_xla_prints(name, exchange):
    ours = (exchange / name / "print.hlo").read_text().rstrip("\n")
    assert ours == as_xla_prints((CASES / name / "00-input.hlo").read_text()).rstrip("\n")
    assert ours == as_xla_prints(ours).rstrip("\n")
