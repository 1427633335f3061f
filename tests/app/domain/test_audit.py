import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.domain.audit import Entry, Head, Line, canonical

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LINE = Line(7, NOON, "k1", "act", "ok", "staff", None, {"a": 1, "b": [None, 0.5]}, "sub", "key", b"sealed", b"mac")


@pytest.mark.parametrize(
    "fields",
    [
        {"facts": {"similarity": math.nan}},
        {"facts": {"when": NOON}},
        {"private": {"similarity": math.inf}},
        {"at": NOON.replace(tzinfo=None)},
    ],
)
def test_refuses_at_once_what_could_not_be_written(fields):
    with pytest.raises((ValueError, TypeError)):
        Entry("act", **{"at": NOON, **fields})


def test_shows_nothing_private_of_anybody():
    assert "0.75" not in repr(Entry("act", NOON, private={"similarity": 0.75}))


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 8},
        {"at": NOON + timedelta(microseconds=1)},
        {"actor": "k2"},
        {"action": "acts"},
        {"outcome": "no"},
        {"gallery": None},
        {"gallery": ""},
        {"door": ""},
        {"facts": {"a": 1, "b": [None, 0.25]}},
        {"facts": {}},
        {"subject": None},
        {"key_id": "yek"},
        {"sealed": b"sealee"},
        {"sealed": None},
        # Nothing may move from one column to the next.
        {"actor": "k", "action": "1act"},
        {"subject": "subkey", "key_id": ""},
        {"gallery": None, "door": "staff"},
    ],
)
def test_no_column_can_change_without_its_bytes(changed):
    assert canonical(replace(LINE, **changed)) != canonical(LINE)


def test_the_same_facts_have_the_same_bytes_however_they_are_held():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    same = replace(LINE, facts={"b": (None, 0.5), "a": 1}, at=elsewhere, mac=b"another")
    assert canonical(same) == canonical(LINE)


@pytest.mark.parametrize("wrong", [{"actor": None}, {"actor": b"k1"}, {"sealed": "text"}, {"facts": 3}, {"at": "noon"}])
def test_what_is_no_row_has_no_bytes(wrong):
    line = replace(LINE, **wrong)
    if wrong == {"actor": None}:
        assert canonical(line) != canonical(LINE)
        return
    with pytest.raises((TypeError, ValueError)):
        canonical(line)


def test_a_head_is_one_word_and_comes_back():
    head = Head(12, bytes(range(32)), bytes(range(64)))
    assert Head.from_token(f" {head.token}\n") == head
    assert " " not in head.token


@pytest.mark.parametrize(
    "token",
    [
        *("", "1", "1.2.3"),
        *(f"{seq}.{'00' * 32}.{'00' * 64}" for seq in ("x", "-1", "9" * 30, "")),
        *(f"1.{'00' * 31}.{'00' * 64}", f"1.{'00' * 32}.{'00' * 63}", f"1.{'00' * 32}.{'zz' * 64}"),
    ],
)
def test_what_is_no_head_is_refused(token):
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part it is
        Head.from_token(token)
