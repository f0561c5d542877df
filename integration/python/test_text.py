"""XLA's own parser gives our verdicts, reads what we print, and prints the same.

Every text of the HLO crate's tests is asked about, and every text of the collection that `HLO2DAE_CORPUS` names.
"""

import os
from collections import Counter

import pytest
from conftest import CASES, entries
from jaxlib import _hlo

NAMES = sorted(path.parent.name for path in CASES.glob("*/00-input.hlo"))

CRASH = "a check of XLA's own fails"

# Texts that we accept and this release of XLA's parser does not, by its words or the text's, and why.
KNOWN = {
    "num_carries is expected": "newer releases of XLA infer num_carries of a scan, and so do we",
    'unexpected attribute "is_stable"': "newer releases of XLA state it of a top-k",
    "t#1#0": "newer releases of XLA write access to a tuple's elements like this",
    CRASH: "it ends the process on some texts that do not verify; we parse them and leave the answer to the verifier",
}

# The collection was sorted by XLA's parser: its verdict is the folder.
SORTED = {"valid": None, "valid_big": None, "broad": None, "invalid": "refused"}

# Texts that we refuse and XLA's parser does not, by what they hold and why.
LAXER = {"statistics={speed=1}": "it takes the first statistic for the index, whatever its name, and loses it"}

# Elements of a constant of which XLA prints every one, however few the text states.
PRINTABLE = 4_000_000


def options(form="long"):
    if form == "short":
        return _hlo.HloPrintOptions.short_parsable()
    options = _hlo.HloPrintOptions()
    options.print_large_constants = form != "elided"
    options.print_operand_shape = form == "operand_shapes"
    options.include_layout_in_shapes = form != "no_layouts"
    return options


def as_xla_prints(text, form="long"):
    return _hlo.hlo_module_from_text(text).to_string(options(form))


def blocks(text):
    """Header, source tables and computations; their order says nothing, but callees come before callers."""
    return sorted(block.strip("\n") for block in text.split("\n\n") if block.strip())


@pytest.mark.parametrize("name", NAMES)
def test_our_text_is_the_one_that_xla_prints(name, exchange):
    ours = (exchange / name / "print.hlo").read_text().rstrip("\n")
    dump = (CASES / name / "00-input.hlo").read_text()
    assert blocks(ours) == blocks(as_xla_prints(dump).rstrip("\n"))
    assert blocks(ours) == blocks(as_xla_prints(ours).rstrip("\n"))


def verdict(text):
    """None if XLA's parser accepts the text, else why it does not; a failed check of its ends only a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            _hlo.hlo_module_from_text(text)
            os.write(writer, b"accepted")
        except Exception as error:  # whatever it says, it refuses
            os.write(writer, str(error).encode()[:4000] or b"refused")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    return None if answer == "accepted" else answer or CRASH


def test_our_verdict_is_that_of_xla():
    wrong = []
    count = Counter()
    for entry in entries("texts"):
        source = entry["source"]
        reason = SORTED[source] if source in SORTED else verdict(entry["text"])
        known = next((mark for mark in KNOWN if reason and (mark in reason or mark in entry["name"])), None)
        accepted = entry["accepted"]
        laxer = not accepted and any(mark in entry["name"] for mark in LAXER)
        count[entry["source"]] += 1
        if accepted != (reason is None) and not (accepted and known) and not laxer:
            wrong.append(f"{entry['source']} {entry['name']}: we accept: {accepted}; XLA: {reason or 'accepts'}")
    print(dict(count))
    assert not wrong, "\n".join(wrong)


def means_the_same(printed, ours, form):
    """None if XLA reads our print as it reads its own; else how the two differ."""
    if ours == printed:
        return None
    try:
        ours = as_xla_prints(ours, form)
    except RuntimeError as error:
        ours = str(error)
    return None if ours == printed else first_difference(printed, ours)


def round_trips(printed, form):
    try:
        return as_xla_prints(printed, form) == printed
    except RuntimeError:
        return False


def test_every_form_of_our_print_means_the_same_to_xla():
    wrong = []
    count = Counter()
    for entry in entries("prints"):
        text = entry["text"]
        if entry["largest_constant"] > PRINTABLE:
            count["a constant is too large"] += 1
            continue
        if entry["source"] not in SORTED and verdict(text) is not None:
            continue
        module = _hlo.hlo_module_from_text(text)
        # Values that the text leaves out are arbitrary, unless they are left out of the print as well.
        elided = "{...}" in text
        if elided and module.to_string(options("elided")) != as_xla_prints(text, "elided"):
            count["values are arbitrary"] += 1
            continue
        for form in ["elided"] if elided else entry["prints"]:
            printed = module.to_string(options(form))
            difference = means_the_same(printed, entry["prints"][form], form)
            if difference and not round_trips(printed, form):
                count["XLA's print does not round-trip"] += 1
                continue
            count[form] += 1
            if difference:
                wrong.append(f"{entry['source']} {entry['name']} {form}:\n{difference}")
    print(dict(count))
    assert count["a constant is too large"] <= count["long"] / 200
    assert not wrong, "\n".join(wrong)


def first_difference(expected, found):
    lines = zip(expected.split("\n"), found.split("\n"))
    return next((f"  XLA  {a}\n  ours {b}" for a, b in lines if a != b), "  one is longer")
