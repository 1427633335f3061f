"""Whatever is done to a trail, the check finds it: random tamperings of 50 rows, by anybody without the secret."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.domain.audit import Anchor, Entry, Line, Link, Unreadable
from app.domain.audit_check import MOST_FAULTS, Check
from app.store.audit.chain import HmacChain
from app.store.audit.scribe import Scribe
from app.store.memory.vault import MemoryVault

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHAIN, STRANGER = HmacChain(bytes(range(32))), HmacChain(bytes(32))
ROWS = 50
unhurried = settings(deadline=None)


def entry(n):
    fields = {"person_id": f"per_{n % 7}", "private": {"similarity": n / 100}} if n % 3 else {}
    facts = {"threshold": 0.5, "n": n}
    return Entry(f"act{n % 4}", NOON + timedelta(seconds=n), gallery="staff" if n % 2 else None, facts=facts, **fields)


LINES = tuple(Scribe(MemoryVault(), CHAIN).lines([entry(n) for n in range(ROWS)], Link(0, bytes(32))))
HEAD = CHAIN.sign_head(Link(LINES[-1].seq, LINES[-1].mac))


def checked(lines, anchor=None, head=None):
    check = Check(CHAIN, anchor, head)
    for line in lines:
        check.take(line)
    check.end()
    return check


def faults(lines, **more):
    return [(fault.fault, fault.seq) for fault in checked(lines, **more).faults]


def edited(line, column):
    """The row with another value in that column."""
    held = getattr(line, column)
    match held:
        case None:
            value = b"x" if column == "sealed" else "x"
        case str():
            value = held[:-1] if held else "x"
        case bytes():
            value = bytes([held[0] ^ 1]) + held[1:]
        case datetime():
            value = held + timedelta(microseconds=1)
        case _:
            value = {**held, "threshold": 0.4}
    return replace(line, **{column: value})


COLUMNS = [name for name in Line.__dataclass_fields__ if name != "seq"]


def test_finds_nothing_where_there_is_nothing():
    check = checked(LINES, head=HEAD)
    assert (check.faults, check.found, check.rows, check.first, check.last.seq) == ((), 0, ROWS, 1, ROWS)
    assert check.met_head
    assert faults([]) == []


@pytest.mark.parametrize("column", COLUMNS)
@given(at=st.integers(0, ROWS - 1))
@settings(unhurried, max_examples=20)
def test_finds_an_edited_row_in_every_column_and_no_other_row(column, at):
    lines = [*LINES[:at], edited(LINES[at], column), *LINES[at + 1 :]]
    assert faults(lines) == [("edited", at + 1)]


@given(st.sets(st.integers(0, ROWS - 2), min_size=1))
@unhurried
def test_finds_removed_rows_as_the_gaps_that_they_leave(gone):
    lines = [line for i, line in enumerate(LINES) if i not in gone]
    gaps = [i + 1 for i in sorted(gone) if i - 1 not in gone]
    assert faults(lines) == [("removed", seq) for seq in gaps]


@given(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1))
@unhurried
def test_finds_two_rows_that_changed_places(one, other):
    assume(one != other)
    lines = list(LINES)
    lines[one], lines[other] = replace(LINES[other], seq=one + 1), replace(LINES[one], seq=other + 1)
    assert faults(lines) == sorted([("reordered", one + 1), ("reordered", other + 1)], key=lambda fault: fault[1])


def test_finds_rows_that_were_moved_in_a_ring():
    lines = list(LINES)
    for place, source in ((10, 12), (11, 10), (12, 11)):
        lines[place] = replace(LINES[source], seq=place + 1)
    assert faults(lines) == [("reordered", 11), ("reordered", 12), ("reordered", 13)]


@given(st.integers(0, ROWS - 1))
@unhurried
def test_finds_rows_renumbered_over_a_gap(gone):
    lines = [*LINES[:gone], *(replace(line, seq=line.seq - 1) for line in LINES[gone + 1 :])]
    assert bool(faults(lines, head=HEAD))
    assert bool(faults(lines)) == (gone < ROWS - 1)


@given(st.integers(0, ROWS - 1))
@unhurried
def test_finds_a_cut_tail_by_a_head_that_was_kept_and_only_by_it(kept):
    assert faults(LINES[:kept]) == []
    assert faults(LINES[:kept], head=HEAD) == [("cut", kept + 1)]


def test_finds_a_tail_that_was_cut_and_written_on_by_the_service_itself():
    rewritten = list(Scribe(MemoryVault(), CHAIN).lines([entry(n) for n in range(40, 60)], Link(40, LINES[39].mac)))
    assert faults([*LINES[:40], *rewritten]) == []
    assert faults([*LINES[:40], *rewritten], head=HEAD) == [("cut", ROWS)]


@given(st.integers(0, ROWS))
@unhurried
def test_finds_a_row_that_was_put_in_by_somebody_without_the_secret(at):
    forged = replace(LINES[0], seq=at + 1, facts={"forged": True})
    forged = replace(forged, mac=STRANGER.mac(LINES[at - 1].mac if at else bytes(32), forged))
    lines = [*LINES[:at], forged, *(replace(line, seq=line.seq + 1) for line in LINES[at:])]
    assert at + 1 in {seq for _, seq in faults(lines)}


def test_finds_a_row_before_the_first():
    assert faults([replace(LINES[0], seq=0), *LINES]) == [("edited", 0)]
    assert faults([replace(LINES[0], seq=-5), *LINES]) == [("edited", -5)]


TAMPERINGS = st.lists(
    st.tuples(st.sampled_from([*COLUMNS, "remove", "swap", "copy"]), st.integers(0, 48), st.integers(0, 48)),
    min_size=1,
    max_size=6,
)


def tampered(lines, tamperings):
    rows = {line.seq: line for line in lines}
    for what, one, other in tamperings:
        first, second = rows.get(one + 1), rows.get(other + 1)
        if what == "remove":
            rows.pop(one + 1, None)
        elif first is None or (what in ("swap", "copy") and second is None):
            continue
        elif what == "swap":
            rows[one + 1], rows[other + 1] = replace(second, seq=one + 1), replace(first, seq=other + 1)
        elif what == "copy":
            rows[other + 1] = replace(first, seq=other + 1)
        else:
            rows[one + 1] = edited(first, what)
    return [rows[seq] for seq in sorted(rows)]


@given(TAMPERINGS)
@settings(unhurried, max_examples=300)
def test_finds_that_something_was_done_whatever_it_was(tamperings):
    lines = tampered(LINES, tamperings)
    assume(tuple(lines) != LINES)
    assert faults(lines)


def test_goes_on_behind_an_anchor():
    anchor = CHAIN.sign_anchor(LINES[19])
    check = checked(LINES[20:], anchor=anchor, head=HEAD)
    assert (check.found, check.first, check.rows, check.met_head) == (0, 21, 30, True)
    assert faults(LINES[21:], anchor=anchor) == [("removed", 21)]
    assert faults(LINES[20:]) == [("removed", 1)]


def test_finds_an_anchor_that_is_not_ours():
    forged = Anchor(LINES[19].seq, LINES[19].at, LINES[19].mac, STRANGER.sign_anchor(LINES[19]).signature)
    assert faults(LINES[20:], anchor=forged) == [("edited", 20)]
    moved = replace(CHAIN.sign_anchor(LINES[19]), at=NOON)
    assert faults(LINES[20:], anchor=moved) == [("edited", 20)]


def test_a_head_from_before_the_anchor_is_not_met_and_no_fault():
    head = CHAIN.sign_head(Link(LINES[9].seq, LINES[9].mac))
    check = checked(LINES[20:], anchor=CHAIN.sign_anchor(LINES[19]), head=head)
    assert (check.found, check.met_head) == (0, False)


def test_compares_a_head_that_names_the_anchor_itself():
    anchor = CHAIN.sign_anchor(LINES[19])
    assert checked(LINES[20:], anchor=anchor, head=CHAIN.sign_head(Link(20, LINES[19].mac))).met_head
    assert faults(LINES[20:], anchor=anchor, head=CHAIN.sign_head(Link(20, bytes(32)))) == [("cut", 20)]


def test_moves_on_when_rows_are_let_go_while_it_reads():
    check = Check(CHAIN)
    for line in LINES[:10]:
        assert check.take(line)
    check.move_on(CHAIN.sign_anchor(LINES[29]))
    for line in LINES[30:]:
        assert check.take(line)
    check.end()
    assert check.found == 0


def test_a_row_that_cannot_be_read_is_an_edited_one_and_the_next_still_follows_its_mac():
    lines = [*LINES[:9], Unreadable(10, LINES[9].mac), *LINES[10:]]
    assert faults(lines) == [("edited", 10)]
    assert faults([*LINES[:9], Unreadable(10), *LINES[10:]]) == [("edited", 10)]


def test_tells_the_first_hundred_faults_and_counts_them_all():
    stranger = list(Scribe(MemoryVault(), STRANGER).lines([entry(n) for n in range(150)], Link(0, bytes(32))))
    check = checked(stranger)
    assert (len(check.faults), check.found) == (MOST_FAULTS, 150)


def test_only_heads_that_we_signed_are_ours():
    assert CHAIN.signed_head(HEAD)
    assert not CHAIN.signed_head(replace(HEAD, seq=HEAD.seq - 1))
    assert not CHAIN.signed_head(replace(HEAD, mac=bytes(32)))
    assert not STRANGER.signed_head(HEAD)
    # A signature under an anchor is none under a head.
    anchor = CHAIN.sign_anchor(LINES[-1])
    assert not CHAIN.signed_head(replace(HEAD, signature=anchor.signature))
