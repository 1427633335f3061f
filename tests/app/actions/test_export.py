from datetime import timedelta

import pytest

from app.actions.export import Export
from app.actions.merge import Merge
from app.domain.audit import AuditFilter, Entry
from app.domain.batch import BatchItem
from app.domain.gallery import NamedGallery
from app.domain.idempotency import Remembered
from app.domain.job import ENROLL_BATCH, Job
from app.errors import Erased, Merged, OutOfScope, UnknownPerson


@pytest.fixture
def export(store, clock):
    return Export(store, clock)


@pytest.fixture
def merge(store, gallery, clock, identifiers):
    return Merge(store, gallery, clock, identifiers)


@pytest.fixture
def traces(store, clock):
    """What else there may be of a person: a sighting, a row of the trail, a photo of a batch, a kept answer."""

    def leave(who, number=1):
        now = clock.now()
        with store.write() as uow:
            uow.sightings.note({who: now})
            uow.audit.append(
                Entry("face.identified", now, "recognized", who, {"similarity": 0.9}, gallery="all", actor="door")
            )
            job = Job(f"job_{number}", ENROLL_BATCH, "key", f"digest {number}", {}, 1, now, now + timedelta(days=1), 3)
            uow.jobs.add(job)
            uow.batches.add(job.id, [BatchItem(0, 0, "Ann/1.jpg", "enrolled", who, "tpl_x")])
            record = Remembered(f"idm{number}", b"digest", "token", now, now + timedelta(days=1))
            uow.idempotency.start(record)
            uow.idempotency.finish(record, [who])
            uow.commit()

    return leave


@pytest.fixture
def lab(store, clock):
    with store.write() as uow:
        for id_ in ("lab", "shop"):
            uow.galleries.add(NamedGallery(id_, id_, clock.now()))
        uow.commit()


def test_everything_that_is_held_of_a_person_and_nothing_of_others(enrolled, lab, export, traces, store, clock):
    ann = enrolled("ann", galleries=("lab",))
    enrolled("bob")
    traces("ann", 1)
    traces("bob", 2)
    held = export("ann")
    assert (held.placed.person, held.placed.galleries) == (ann, ("lab",))
    with store.read() as uow:
        assert held.templates == tuple(uow.templates.of("ann"))
    assert held.seen_at == clock.now()
    assert held.batch_items[0][0] == "job_1"
    assert [item.person_id for _, item in held.batch_items] == ["ann"]
    assert held.records == 1
    assert {record.person_id for record in held.audit} == {"ann"}
    assert [record.private for record in held.audit if record.line.actor == "door"] == [{"similarity": 0.9}]
    assert (held.changes, held.absorbed) == ((), ())


def test_who_was_merged_into_a_person_is_part_of_what_is_held(enrolled, export, merge, traces):
    enrolled("ann", consent="asked")
    enrolled("bob")
    enrolled("cid")
    traces("ann", 1)
    merge("ann", "bob")
    merge("bob", "cid")
    held = export("cid")
    assert held.absorbed == ("bob", "ann")
    assert len(held.templates) == 3
    assert [change.person_id for change in held.changes] == ["ann", "bob"]
    assert held.changes[0].before.person.consent == "asked"
    assert (len(held.batch_items), held.records) == (1, 1)
    assert {record.person_id for record in held.audit} == {"ann", "bob", "cid"}
    assert [record.line.seq for record in held.audit] == sorted(record.line.seq for record in held.audit)
    with pytest.raises(Merged):
        export("ann")


def test_a_long_trail_is_there_to_its_first_row(enrolled, export, store, clock, monkeypatch):
    monkeypatch.setattr("app.actions.export.PIECE", 3)
    enrolled("ann")
    with store.write() as uow:
        uow.audit.append(*(Entry("face.identified", clock.now(), "recognized", "ann") for _ in range(10)))
        uow.commit()
    assert sum(record.line.action == "face.identified" for record in export("ann").audit) == 10


def test_that_it_was_asked_for_is_written_down_and_told_too(enrolled, export, store):
    enrolled("ann")
    assert [record.line.action for record in export("ann").audit][-1] == "person.exported"
    with store.read() as uow:
        assert len(uow.audit.page(AuditFilter(action="person.exported"), before=None, limit=9)) == 1


def test_nothing_is_told_of_who_is_not_there(enrolled, export, erase):
    enrolled("ann")
    erase("ann")
    for who, error in (("ann", Erased), ("nobody", UnknownPerson), ("../x", UnknownPerson)):
        with pytest.raises(error):
            export(who)


def test_who_is_bound_gets_all_of_a_person_or_nothing(enrolled, lab, export):
    enrolled("ann", galleries=("lab", "shop"))
    with pytest.raises(UnknownPerson):
        export("ann", within=frozenset({"yard"}))
    with pytest.raises(OutOfScope):
        export("ann", within=frozenset({"lab"}))
    assert export("ann", within=frozenset({"lab", "shop"})).placed.galleries == ("lab", "shop")


def test_after_an_erasure_nothing_of_who_was_merged_is_left(enrolled, merge, erase, traces, store):
    enrolled("ann")
    enrolled("bob")
    traces("ann", 1)
    merge("ann", "bob")
    receipt = erase("bob")
    rows = store.committed
    assert receipt.removed["idempotency_records"] == 1
    assert (rows.persons, rows.templates, rows.sightings, rows.remembered, rows.identities) == ({}, {}, {}, {}, {})
    assert [item.person_id for item in rows.items.values()] == [None]
