import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import particulars
from app.errors import InvalidField


def test_a_line_is_trimmed_and_composed():
    assert particulars.line("name", "  Zoe\u0308 ") == "Zoë"


@pytest.mark.parametrize("name", ["李小龍", "José Ñ", "O'Neill", "नमस्ते", "\u0645\u06cc\u200c\u062e", "x" * 200])
def test_names_of_all_the_world_are_taken(name):
    assert particulars.line("name", name)


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_a_line_that_is_taken_can_be_stored_and_shown(text):
    try:
        line = particulars.line("name", text)
    except InvalidField:
        return
    assert line == line.strip()
    assert "\0" not in line
    assert line.encode()


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)))
def test_metadata_that_is_taken_is_plain_json(facts):
    try:
        taken = particulars.metadata(facts)
    except InvalidField:
        return
    text = json.dumps(taken, ensure_ascii=False, allow_nan=False)
    assert len(text.encode()) <= particulars.LONGEST_METADATA_BYTES
    assert "\\u0000" not in text or "\\\\u0000" in text


def test_metadata_may_be_sixteen_levels_deep_and_no_deeper():
    def nested(levels):
        return {"x": nested(levels - 1)} if levels else 0

    assert particulars.metadata(nested(particulars.DEEPEST_METADATA - 1))
    with pytest.raises(InvalidField, match="levels"):
        particulars.metadata(nested(particulars.DEEPEST_METADATA + 1))


@pytest.mark.parametrize("text", ["a", "A-1_b.c~d@e:f", "_x", "x" * 100])
def test_an_id_is_plain(text):
    assert particulars.person_id(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "-a", "a b", "a/b", "é", "a\n", "x" * 101])
def test_anything_else_is_no_id(text):
    with pytest.raises(InvalidField):
        particulars.person_id(text)


def test_an_id_that_looks_like_that_of_a_receipt_cannot_be_chosen():
    with pytest.raises(InvalidField) as refusal:
        particulars.person_id("era_01")
    assert refusal.value.field == "person_id"
    assert particulars.person_id("era") == "era"
    assert particulars.is_id("era_01")
