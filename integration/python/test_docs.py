"""The Python examples of the documentation run, each page from top to bottom."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page.relative_to(ROOT).as_posix() for page in ROOT.glob("plugin/docs/*.md") if "```python\n" in page.read_text()
)


def test_there_are_pages_with_examples():
    assert "plugin/docs/python.md" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page):
    text = (ROOT / page).read_text()
    names = {}
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        # Blank lines before the code, so that a failure names the line of the page.
        code = "\n" * text.count("\n", 0, block.start(1)) + block.group(1)
        exec(compile(code, str(ROOT / page), "exec"), names)
