from datetime import UTC, datetime

import pytest

from app.domain.face import Quality
from app.domain.person import Template
from app.index.exact import ExactIndex
from app.index.roster import Entries, Roster

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)


@pytest.fixture
def roster():
    return Roster(ExactIndex)


@pytest.fixture
def entries(unit):
    """Entries of (template, person) pairs; the number in the template's id is the seed of its vector."""

    def make(*pairs):
        made = [Template(id_, person, "model", QUALITY, NOW, unit(int(id_[1:]))) for id_, person in pairs]
        return Entries.of(made)

    return make


def held(roster, gallery="all"):
    index = roster.index(gallery)
    return None if index is None else sorted(index.held()[0])


def test_everybody_is_in_all_and_members_in_their_galleries_too(roster, entries):
    roster.open_gallery("empty")
    roster.enlist([("a", "ann"), ("b", "ann"), ("b", "bob")])
    roster.put(entries(("t1", "ann"), ("t2", "bob"), ("t3", "bob"), ("t4", "cid")))
    assert {g: held(roster, g) for g in ("all", "a", "b", "empty", "none")} == {
        "all": ["t1", "t2", "t3", "t4"],
        "a": ["t1"],
        "b": ["t1", "t2", "t3"],
        "empty": [],
        "none": None,
    }
    sizes = {g: roster.size(g) for g in ("all", "a", "b", "empty", "none")}
    assert sizes == {"all": (3, 4), "a": (1, 1), "b": (2, 3), "empty": (0, 0), "none": (0, 0)}


def test_a_member_without_a_template_does_not_count(roster, entries):
    roster.enlist([("a", "ann"), ("a", "bob")])
    roster.put(entries(("t1", "ann")))
    assert roster.size("a") == (1, 1)
    roster.drop(["t1"])
    assert [roster.size(g) for g in ("all", "a")] == [(0, 0), (0, 0)]
    roster.put(entries(("t2", "bob")))
    assert (roster.size("a"), held(roster, "a")) == ((1, 1), ["t2"])


def test_who_is_assigned_elsewhere_moves_once_put_again(roster, entries):
    roster.enlist([("a", "ann"), ("b", "bob")])
    both = entries(("t1", "ann"), ("t2", "bob"))
    roster.put(both)
    roster.assign({"ann": ("b", "c"), "bob": ()})
    roster.put(both)
    assert {g: held(roster, g) for g in "abc"} == {"a": [], "b": ["t1"], "c": ["t1"]}
    assert [roster.size(g) for g in "abc"] == [(0, 0), (1, 1), (1, 1)]
    assert roster.templates_of(["ann", "bob", "cid"]) == ["t1", "t2"]


def test_a_template_that_becomes_somebody_elses_goes_where_that_person_is(roster, entries):
    roster.enlist([("a", "ann"), ("both", "ann"), ("both", "bob"), ("b", "bob")])
    roster.put(entries(("t1", "ann"), ("t2", "ann"), ("t3", "bob")))
    roster.put(entries(("t2", "bob")))
    assert {g: held(roster, g) for g in ("all", "a", "b", "both")} == {
        "all": ["t1", "t2", "t3"],
        "a": ["t1"],
        "b": ["t2", "t3"],
        "both": ["t1", "t2", "t3"],
    }
    roster.put(entries(("t1", "bob")))
    assert [roster.size(g) for g in ("all", "a", "b", "both")] == [(1, 3), (0, 0), (1, 3), (1, 3)]
    roster.drop(["t1", "t2", "t3"])
    assert [roster.size(g) for g in ("all", "a", "b", "both")] == [(0, 0)] * 4


def test_a_template_that_stays_in_a_gallery_is_there_at_every_moment(entries):
    class Watched(ExactIndex):
        """After each step of a change t1 must be in all and in both."""

        def add(self, ids, vectors):
            super().add(ids, vectors)
            look()

        def remove(self, ids):
            removed = super().remove(ids)
            look()
            return removed

    missed = []

    def look():
        if watching and not all("t1" in roster.index(g) for g in ("all", "both")):
            missed.append("t1")

    watching = False
    roster = Roster(Watched)
    roster.enlist([("a", "ann"), ("both", "ann"), ("both", "bob")])
    roster.put(entries(("t1", "ann"), ("t2", "bob")))
    watching = True
    roster.assign({"ann": ()})
    roster.put(entries(("t1", "bob")))
    roster.assign({"ann": ("a", "both")})
    roster.put(entries(("t1", "ann")))
    assert missed == []
    assert held(roster, "a") == ["t1"]


def test_a_gallery_that_is_closed_is_empty_when_it_is_opened_again(roster, entries):
    roster.enlist([("a", "ann")])
    roster.put(entries(("t1", "ann")))
    roster.close_gallery("a")
    assert held(roster, "a") is None
    roster.open_gallery("a")
    roster.put(entries(("t1", "ann")))
    assert held(roster, "a") == []
    roster.close_gallery("never there")


def test_what_failed_in_the_middle_is_made_good_by_doing_it_again(entries):
    class Failing(ExactIndex):
        fails = False

        def add(self, ids, vectors):
            if self.fails:
                raise MemoryError
            super().add(ids, vectors)

    roster = Roster(Failing)
    roster.enlist([("a", "ann"), ("b", "bob")])
    roster.put(entries(("t1", "ann")))
    for place in ("all", "b"):
        roster.index(place).fails = True
        with pytest.raises(MemoryError):
            roster.put(entries(("t1", "bob")))
        roster.index(place).fails = False
    roster.put(entries(("t1", "bob")))
    assert {g: (held(roster, g), roster.size(g)) for g in ("all", "a", "b")} == {
        "all": (["t1"], (1, 1)),
        "a": ([], (0, 0)),
        "b": (["t1"], (1, 1)),
    }
