import threading
import time
from contextlib import contextmanager

import pytest

from app.actions.trail import QueuedTrail
from app.domain.actor import acting_as
from app.domain.audit import AuditFilter, Entry
from app.errors import Busy, NotAcknowledged, SealBroken


class Unsteady:
    """A store that can be taken away, and whose commits can be made and not acknowledged."""

    def __init__(self, store):
        self._store = store
        self.away = threading.Event()
        self.unacknowledged = 0
        self.tries = 0

    @contextmanager
    def write(self):
        self.tries += 1
        if self.away.is_set():
            raise Busy
        with self._store.write() as uow:
            yield uow
        if self.unacknowledged:
            self.unacknowledged -= 1
            raise NotAcknowledged

    def read(self):
        return self._store.read()


@pytest.fixture
def unsteady(store) -> Unsteady:
    return Unsteady(store)


@pytest.fixture
def reports():
    return []


@pytest.fixture
def make_trail(unsteady, clock, reports):
    made = []

    def make(**more):
        made.append(QueuedTrail(unsteady, clock, reports.append, **{"pause_s": 0.01, **more}))
        return made[-1]

    yield make
    for trail in made:
        trail.close(1)


def rows(store):
    with store.read() as uow:
        return list(reversed(uow.audit.page(AuditFilter(), before=None, limit=10_000)))


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def entry(clock, number, **more):
    return Entry("a", clock.now(), facts={"n": number}, **more)


def test_writes_what_is_noted_in_its_order_without_being_waited_for(make_trail, store, clock):
    trail = make_trail()
    for number in range(20):
        trail.note(entry(clock, number))
    wait_until(lambda: not trail.waiting)
    assert [row.line.facts["n"] for row in rows(store)] == list(range(20))


def test_commits_in_groups(make_trail, unsteady, store, clock):
    trail = make_trail(group=50, pause_s=0.5)
    for number in range(100):
        trail.note(entry(clock, number))
    wait_until(lambda: not trail.waiting)
    assert len(rows(store)) == 100
    assert unsteady.tries <= 3


def test_notes_at_once_although_the_database_does_not_answer(make_trail, store, clock):
    trail = make_trail()
    with store.write():
        began = time.perf_counter()
        for number in range(1000):
            trail.note(entry(clock, number))
        assert time.perf_counter() - began < 1
        assert trail.waiting == 1000
    wait_until(lambda: not trail.waiting)


def test_the_actor_is_whoever_acted_and_not_the_thread_that_writes(make_trail, store, clock):
    trail = make_trail()
    with acting_as("key1"):
        trail.note(entry(clock, 0))
    wait_until(lambda: not trail.waiting)
    assert rows(store)[0].line.actor == "key1"


def test_writes_the_latest_sighting_of_each_person_with_the_rows(make_trail, store, enrolled, clock):
    ann, bob = enrolled("ann"), enrolled("bob")
    trail, first = make_trail(), clock.now()
    trail.note(entry(clock, 0, person_id=ann.id, seen=True))
    clock.move(hours=1)
    trail.note(entry(clock, 1, person_id=ann.id, seen=True))
    trail.note(entry(clock, 2, person_id=bob.id))
    wait_until(lambda: not trail.waiting)
    with store.read() as uow:
        assert uow.sightings.last("ann") == clock.now() != first
        assert uow.sightings.last("bob") is None


def test_what_is_noted_while_the_database_is_away_is_written_when_it_is_back(
    make_trail, unsteady, store, clock, reports
):
    trail = make_trail()
    unsteady.away.set()
    for number in range(10):
        trail.note(entry(clock, number))
    wait_until(lambda: unsteady.tries > 2)
    assert rows(store) == []
    unsteady.away.clear()
    wait_until(lambda: not trail.waiting)
    assert [row.line.facts["n"] for row in rows(store)] == list(range(10))
    assert len(reports) == 1
    assert "Busy" in reports[0]
    assert trail.lost == 0


def test_beyond_its_bound_the_oldest_is_lost_counted_and_told_of_in_a_row(make_trail, unsteady, store, clock):
    trail = make_trail(most=10, group=4)
    unsteady.away.set()
    trail.note(entry(clock, 0))
    wait_until(lambda: unsteady.tries)
    for number in range(1, 16):
        trail.note(entry(clock, number))
    assert (trail.waiting, trail.lost) == (10, 6)
    unsteady.away.clear()
    wait_until(lambda: not trail.waiting)
    written = rows(store)
    # The first one was in the hands of the thread that writes.
    assert [row.line.facts["n"] for row in written if row.line.action == "a"] == [0, *range(7, 16)]
    (lost,) = [row.line for row in written if row.line.action == "audit.lost"]
    assert (lost.facts, lost.actor, lost.seq) == ({"rows": 6}, "service", 2)


def test_a_commit_that_was_made_and_not_acknowledged_is_not_made_again(make_trail, unsteady, store, clock):
    trail = make_trail()
    unsteady.unacknowledged = 2
    for number in range(5):
        trail.note(entry(clock, number))
    wait_until(lambda: not trail.waiting)
    assert [row.line.facts["n"] for row in rows(store)] == list(range(5))


def test_somebody_erased_meanwhile_is_not_named(make_trail, unsteady, store, enrolled, clock):
    ann = enrolled("ann")
    trail = make_trail()
    unsteady.away.set()
    trail.note(entry(clock, 1, person_id=ann.id, private={"similarity": 0.9}, seen=True))
    with store.write() as uow:
        uow.people.erase("ann")
        uow.commit()
    store.vault.shred("ann")
    unsteady.away.clear()
    wait_until(lambda: not trail.waiting)
    row = rows(store)[-1]
    assert (row.line.subject, row.line.sealed, row.line.facts) == (None, None, {"n": 1, "person": "erased"})


def test_one_unreadable_key_keeps_neither_rows_nor_sightings_from_being_written(
    make_trail, store, enrolled, clock, monkeypatch, reports
):
    for who in ("ann", "bob"):
        enrolled(who)
    whole = store.vault.key

    def key(person_id, purpose):
        if person_id == "ann":
            raise SealBroken
        return whole(person_id, purpose)

    monkeypatch.setattr(store.vault, "key", key)
    trail = make_trail()
    for number, who in enumerate(("ann", "bob")):
        trail.note(entry(clock, number, person_id=who, private={"similarity": 0.9}, seen=True))
    wait_until(lambda: not trail.waiting)
    ann, bob = rows(store)[-2:]
    assert (ann.line.sealed, ann.line.facts) == (None, {"n": 0, "person": "unreadable"})
    assert (bob.person_id, bob.line.facts) == ("bob", {"n": 1})
    with store.read() as uow:
        assert uow.sightings.last("ann") == uow.sightings.last("bob") == clock.now()
    assert reports == []


def test_closing_writes_what_waits(make_trail, store, clock):
    trail = make_trail(pause_s=30)
    for number in range(7):
        trail.note(entry(clock, number))
    assert trail.close(5)
    assert len(rows(store)) == 7


def test_closing_gives_up_when_the_database_stays_away_and_says_so(make_trail, unsteady, clock, reports):
    trail = make_trail()
    unsteady.away.set()
    trail.note(entry(clock, 1))
    began = time.monotonic()
    assert not trail.close(0.2)
    assert time.monotonic() - began < 3
    assert "lost 1 rows" in reports[-1]


def test_what_is_noted_after_closing_is_written_all_the_same(make_trail, store, clock):
    trail = make_trail()
    assert trail.close(1)
    trail.note(entry(clock, 1))
    wait_until(lambda: len(rows(store)) == 1)


def test_append_now_is_stored_when_it_returns(make_trail, store, enrolled, clock, unsteady):
    enrolled("ann")
    seq = make_trail().append_now(entry(clock, 1, person_id="ann", seen=True))
    assert rows(store)[-1].line.seq == seq
    with store.read() as uow:
        assert uow.sightings.last("ann") == clock.now()
    unsteady.away.set()
    with pytest.raises(Busy):
        make_trail().append_now(entry(clock, 2))
