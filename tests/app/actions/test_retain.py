from dataclasses import replace
from datetime import timedelta

import pytest

from app.actions.add_template import AddTemplate
from app.actions.audit import VerifyAudit
from app.actions.retain import Retain
from app.domain.audit import AuditFilter, Entry
from app.errors import Corrupt, UnknownPerson

DAY = timedelta(days=1)


@pytest.fixture
def make_retain(store, erase, clock):
    return lambda unseen=0, audit=0: Retain(store, erase, clock, unseen, audit)


def actions(store, **which):
    with store.read() as uow:
        return [one.line for one in reversed(uow.audit.page(AuditFilter(**which), before=None, limit=10_000))]


def people(store):
    with store.read() as uow:
        return {id_ for id_ in ("ann", "bob", "eve") if uow.people.get(id_) is not None}


@pytest.fixture
def append(store, clock):
    def write(count):
        with store.write() as uow:
            uow.audit.append(*(Entry("a", clock.now()) for _ in range(count)))
            uow.commit()

    return write


def test_keeps_everything_unless_it_is_told(make_retain, enrolled, clock, store):
    enrolled("ann")
    before = len(actions(store))
    clock.move(days=36_500)
    assert make_retain()().persons == ()
    assert people(store) == {"ann"}
    assert len(actions(store)) == before


def test_erases_whoever_was_not_seen_for_so_many_days_to_the_microsecond(make_retain, enrolled, store, clock):
    enrolled("ann")
    enrolled("bob")
    clock.move(days=1)
    with store.write() as uow:
        uow.sightings.note({"bob": clock.now()})
        uow.commit()
    retain = make_retain(unseen=30)
    clock.move(days=29)
    assert retain().persons == ()
    clock.move(microseconds=1)
    assert retain().persons == ("ann",)
    assert people(store) == {"bob"}
    clock.move(days=1)
    assert retain().persons == ("bob",)


def test_a_change_or_a_template_keeps_a_person(make_retain, enrolled, store, clock, change, pictures, enroll):
    for who in ("ann", "bob", "eve"):
        enrolled(who)
    clock.move(days=20)
    with store.read() as uow:
        ann = uow.people.get("ann")
    change(ann, name="Ann B.", updated_at=clock.now())
    shared = (enroll.store, enroll.gallery, enroll.reader, enroll.calibration, clock, enroll.identifiers)
    AddTemplate(*shared, 0.35)(pictures.of("bob", 0.9), "bob")
    clock.move(days=20)
    assert make_retain(unseen=30)().persons == ("eve",)
    assert people(store) == {"ann", "bob"}


def test_each_erasure_has_its_receipt_and_its_row_and_retention_is_the_actor(make_retain, enrolled, store, clock):
    enrolled("ann")
    clock.move(days=31)
    make_retain(unseen=30)()
    with store.read() as uow:
        receipt = uow.erasures.get("ann")
    (row,) = actions(store, action="person.erased")
    assert (row.actor, row.seq, row.subject) == ("retention", receipt.audit_seq, None)
    assert [row.actor for row in actions(store, action="retention.began")] == ["retention"]
    assert VerifyAudit(store)().ok


def test_a_dry_run_names_who_and_what_would_go_and_changes_nothing(make_retain, enrolled, store, clock):
    enrolled("ann")
    clock.move(days=31)
    before = actions(store)
    told = make_retain(unseen=30, audit=30)(dry_run=True)
    assert (told.persons, told.audit_rows) == (("ann",), len(before))
    assert people(store) == {"ann"}
    assert actions(store) == before


def test_somebody_erased_meanwhile_is_passed_over(make_retain, enrolled, store, clock):
    enrolled("ann")
    enrolled("bob")
    clock.move(days=31)
    retain = make_retain(unseen=30)

    class Overtaken:
        def __call__(self, person_id, **more):
            if person_id == "ann":
                raise UnknownPerson
            return retain.erase(person_id, **more)

    assert Retain(store, Overtaken(), clock, 30, 0)().persons == ("bob",)


@pytest.mark.parametrize("what", ["seen", "changed", "given a template"])
def test_somebody_who_shows_up_between_the_list_and_the_erasure_is_kept(
    make_retain, enrolled, store, clock, change, pictures, enroll, what
):
    enrolled("ann")
    bob = enrolled("bob")
    clock.move(days=31)
    retain = make_retain(unseen=30)

    class ShowsUp:
        def __call__(self, person_id, **more):
            receipt = retain.erase(person_id, **more)
            if what == "seen":
                with store.write() as uow:
                    uow.sightings.note({"bob": clock.now()})
                    uow.commit()
            elif what == "changed":
                change(bob, updated_at=clock.now())
            else:
                shared = (enroll.store, enroll.gallery, enroll.reader, enroll.calibration, clock, enroll.identifiers)
                AddTemplate(*shared, 0.35)(pictures.of("bob", 0.9), "bob")
            return receipt

    assert Retain(store, ShowsUp(), clock, 30, 0)().persons == ("ann",)
    assert people(store) == {"bob"}
    with store.read() as uow:
        assert uow.erasures.get("bob") is None


def test_lets_go_of_old_rows_and_what_is_left_verifies(make_retain, store, clock, append):
    append(2500)
    clock.move(days=10)
    append(7)
    head = VerifyAudit(store)().head
    clock.move(days=25)
    assert make_retain(audit=30)().audit_rows == 2500
    verdict = VerifyAudit(store)(head)
    assert (verdict.ok, verdict.first, verdict.met_head) == (True, 2501, True)
    assert [row.facts for row in actions(store, action="audit.let_go")][-1] == {"rows": 500, "through": 2500}
    assert make_retain(audit=30)().audit_rows == 0


def test_lets_go_of_a_whole_beginning_only(make_retain, store, clock, append):
    """Clocks differ: a younger row may stand before an older one, and then keeps it."""
    append(2)
    clock.move(days=40)
    append(1)
    clock.move(days=-40)
    append(2)
    clock.move(days=41)
    assert make_retain(audit=30)().audit_rows == 2
    assert actions(store)[0].seq == 3
    assert VerifyAudit(store)().ok


def test_keeps_what_somebody_altered_as_evidence(make_retain, store, clock, append):
    append(5)
    store.committed.audit[3] = replace(store.committed.audit[3], actor="nobody")
    clock.move(days=31)
    retain = make_retain(audit=30)
    with pytest.raises(Corrupt, match="audit verify"):
        retain()
    assert actions(store)[0].seq == 4
    assert [fault.seq for fault in VerifyAudit(store)().faults] == [4]


def test_of_two_processes_one_sweeps(make_retain, enrolled, store, clock):
    enrolled("ann")
    clock.move(days=31)
    retain, hour = make_retain(unseen=30), timedelta(hours=1)
    assert retain(unless_since=hour).persons == ("ann",)
    enrolled("bob")
    clock.move(minutes=59)
    assert retain(unless_since=hour).persons == ()
    assert len(actions(store, action="retention.began")) == 1
    clock.move(days=31)
    assert retain(unless_since=hour).persons == ("bob",)


def test_stops_between_transactions_when_it_is_told(make_retain, enrolled, store, clock):
    enrolled("ann")
    enrolled("bob")
    clock.move(days=31)
    answers = iter([False, True, True, True])
    assert make_retain(unseen=30, audit=30)(stop=lambda: next(answers)).persons == ("ann",)
    assert people(store) == {"bob"}
