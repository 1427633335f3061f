"""One attempt at a batch, when the job is lost to another, the store does not answer, or photos fail."""

import dataclasses
import threading
from datetime import timedelta

import pytest

from app.actions.add_template import AddTemplate
from app.actions.batch_item import EnrollItem, photo_in_folder
from app.actions.jobs import LEASE_S, ClaimJob
from app.actions.run_batch import RunBatch
from app.domain.actor import LOCAL
from app.domain.batch import BatchItem, Outcome, photo_digest
from app.domain.job import ENROLL_BATCH, Job
from app.errors import NotAcknowledged, SealBroken, ShuttingDown, StoreAway
from app.ports import PersonFilter

KEPT = timedelta(days=7)


@pytest.fixture
def told():
    return lambda error: (type(error).__name__, error.detail, {})


@pytest.fixture
def claim(store, clock, identifiers):
    return ClaimJob(store, clock, identifiers)


@pytest.fixture
def run_batch(store, enroll, gallery, reader, calibration, clock, identifiers, told):
    reports = []
    add_template = AddTemplate(store, gallery, reader, calibration, clock, identifiers, 0.35)
    item = EnrollItem(store, enroll, add_template, told, reports.append)
    ended = []
    run = RunBatch(store, item, told, clock, KEPT, lambda: 0, ended.append)
    return run, ended, reports


@pytest.fixture
def batch(store, clock, claim):
    """Makes a job of folders, and claims it."""

    def make(**folders):
        photos, items = {}, []
        for person, contents in folders.items():
            first = len(items)
            for content in contents:
                photos[len(items)] = content
                items.append(BatchItem(len(items), first, f"{person}/{len(items)}.jpg"))
        now = clock.now()
        with store.write() as uow:
            uow.jobs.add(Job("job_1", ENROLL_BATCH, LOCAL, "d", {}, len(items), now, now + KEPT, 5))
            uow.batches.add("job_1", items)
            uow.commit()
        return claim(["job_1"]), lambda item: photo_in_folder(item.folder, photos[item.number], {})

    return make


def run(run_batch, job, take, **more):
    run_batch[0](job, take, **{"at_once": 1, "stop": threading.Event(), **more})


def job_of(store):
    with store.read() as uow:
        return uow.jobs.get("job_1")


def statuses(store):
    with store.read() as uow:
        return [item.status for item in uow.batches.page("job_1", status=None, after=-1, limit=99)]


def people(store):
    with store.read() as uow:
        return [person.external_id for person in uow.people.page(PersonFilter(), after=None, limit=99)]


def test_ends_the_job_and_tells_so(store, run_batch, batch, pictures):
    settled = []
    run(run_batch, *batch(Ada=[pictures.of("ada")]), settled=lambda item, outcome: settled.append(outcome.status))
    assert (job_of(store).status, job_of(store).step, run_batch[1]) == ("succeeded", 1, ["job_1"])
    assert settled == ["enrolled"]
    assert job_of(store).expires_at == job_of(store).finished_at + KEPT


def test_an_attempt_that_lost_its_lease_writes_nothing_more(store, run_batch, batch, claim, pictures, reader, clock):
    job, take = batch(Ada=[pictures.of("ada"), pictures.of("ada", 0.9)], Bob=[pictures.of("bob")])
    taken = []

    def lose():
        if len(reader.asked) == 2:
            clock.move(seconds=LEASE_S + 1)
            taken.append(claim(["job_1"]))

    reader.before_reading = lose
    run(run_batch, job, take)
    # What was committed before counts; what was read when the job was taken is rolled back with its person.
    assert (statuses(store), people(store)) == (["enrolled", "pending", "pending"], ["Ada"])
    assert job_of(store).token == taken[0].token
    assert run_batch[1] == []
    reader.before_reading = lambda: None
    run(run_batch, taken[0], take)
    assert (statuses(store), people(store)) == (["enrolled", "template", "enrolled"], ["Ada", "Bob"])
    assert job_of(store).status == "succeeded"


def test_two_attempts_at_once_enrol_everybody_once(store, run_batch, batch, claim, pictures, reader, clock):
    job, take = batch(**{f"P{number}": [pictures.of(f"p{number}")] for number in range(12)})
    other = threading.Thread(target=lambda: None)

    def overtake():
        nonlocal other
        if len(reader.asked) == 4:
            clock.move(seconds=LEASE_S + 1)
            other = threading.Thread(target=run, args=(run_batch, claim(["job_1"]), take))
            other.start()

    reader.before_reading = overtake
    run(run_batch, job, take)
    other.join(10)
    assert statuses(store) == ["enrolled"] * 12
    assert len(people(store)) == len(set(people(store))) == 12
    assert job_of(store).status == "succeeded"


@pytest.mark.parametrize("stored", [True, False])
def test_a_write_of_which_nobody_can_say_whether_it_is_kept_is_looked_for(
    store, run_batch, batch, pictures, monkeypatch, stored
):
    job, take = batch(Ada=[pictures.of("ada")], Bob=[pictures.of("bob")])
    from app.store.memory.store import MemoryUnitOfWork

    commit = MemoryUnitOfWork.commit
    doubts = iter([True])

    def doubtful(uow):
        if uow.rows().persons and next(doubts, False):
            if stored:
                commit(uow)
            raise NotAcknowledged
        return commit(uow)

    monkeypatch.setattr(MemoryUnitOfWork, "commit", doubtful)
    run(run_batch, job, take)
    assert (statuses(store), people(store)) == (["enrolled", "enrolled"], ["Ada", "Bob"])
    assert job_of(store).step == 2


def test_goes_on_when_the_database_was_away_for_a_while(store, run_batch, batch, pictures, monkeypatch):
    monkeypatch.setattr("app.actions.jobs.BEAT_S", 0.0)
    monkeypatch.setattr("app.actions.run_batch.LEAST_PAUSE_S", 0.001)
    job, take = batch(Ada=[pictures.of("ada")], Bob=[pictures.of("bob")])
    write, refusals = store.write, iter([StoreAway()] * 3)

    def away():
        for refusal in refusals:
            raise refusal
        return write()

    monkeypatch.setattr(store, "write", away)
    run(run_batch, job, take)
    assert statuses(store) == ["enrolled", "enrolled"]


def test_what_cannot_be_written_at_all_leaves_the_job_to_the_next_attempt(
    store, run_batch, batch, claim, pictures, monkeypatch, clock
):
    job, take = batch(Ada=[pictures.of("ada")])
    with monkeypatch.context() as broken:
        broken.setattr(store, "write", lambda: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            run(run_batch, job, take)
    assert (job_of(store).status, statuses(store)) == ("running", ["pending"])
    clock.move(seconds=LEASE_S + 1)
    run(run_batch, claim(["job_1"]), take)
    assert statuses(store) == ["enrolled"]


def test_a_reader_that_shuts_down_queues_the_job_again(store, run_batch, batch, pictures, reader):
    job, take = batch(Ada=[pictures.of("ada")])

    def closed():
        raise ShuttingDown

    reader.before_reading = closed
    run(run_batch, job, take)
    assert (job_of(store).status, job_of(store).attempt, statuses(store)) == ("queued", 0, ["pending"])


def test_an_interrupt_at_the_keyboard_queues_the_job_again(store, run_batch, batch, pictures):
    job, _ = batch(Ada=[pictures.of("ada")])

    def interrupt(item):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(run_batch, job, interrupt)
    assert (job_of(store).status, statuses(store)) == ("queued", ["pending"])


def test_a_damaged_template_refuses_its_photo_and_is_reported(store, run_batch, batch, pictures, reader):
    job, take = batch(Ada=[pictures.of("ada")], Bob=[pictures.of("bob")])

    def broken():
        if len(reader.asked) == 1:
            raise SealBroken

    reader.before_reading = broken
    run(run_batch, job, take)
    assert statuses(store) == ["refused", "enrolled"]
    assert any("damaged" in report for report in run_batch[2])


def test_two_persons_of_one_external_id_make_a_folder_ambiguous(store, run_batch, batch, pictures, enrolled):
    enrolled("one", external_id="Ada")
    enrolled("two", external_id="Ada")
    run(run_batch, *batch(Ada=[pictures.of("ada")]))
    with store.read() as uow:
        (item,) = uow.batches.page("job_1", status="refused", after=-1, limit=9)
    assert (item.code, "Several persons" in item.detail) == ("InvalidField", True)


def test_nobody_claims_what_is_not_among_those_named(claim, batch, pictures):
    batch(Ada=[pictures.of("ada")])
    assert claim([]) is None
    assert claim(["job_2"]) is None
    assert claim(["job_1"]) is None


def test_whose_item_is_blanked_while_the_photo_is_read_is_not_enrolled(store, run_batch, batch, pictures, reader):
    job, take = batch(Ada=[pictures.of("ada")], Bob=[pictures.of("bob")])

    def blank():
        if len(reader.asked) == 1:
            with store.write() as uow:
                uow.batches.settle(job.id, 0, Outcome("erased"))
                uow.jobs.advance(job.id, job.token)
                uow.commit()

    reader.before_reading = blank
    run(run_batch, job, take)
    assert (statuses(store), people(store)) == (["erased", "enrolled"], ["Bob"])
    assert (job_of(store).status, job_of(store).step) == ("succeeded", 2)


def items(store):
    with store.read() as uow:
        return uow.batches.page("job_1", status=None, after=-1, limit=99)


def test_who_is_erased_before_a_refusal_names_them_is_in_no_item(store, batch, run_batch, enrolled, erase, pictures):
    enrolled("ann")
    tell = run_batch[0].enroll_item.told

    def told(error):
        erase("ann")
        return tell(error)

    item = dataclasses.replace(run_batch[0].enroll_item, told=told)
    run((dataclasses.replace(run_batch[0], enroll_item=item),), *batch(Ada=[pictures.of("ann")]))
    (one,) = items(store)
    assert (one.status, one.person_id == "ann") == ("enrolled", False)


def test_who_is_erased_before_a_photo_is_known_again_is_in_no_item(store, batch, run_batch, enrolled, erase, pictures):
    image = pictures.of("ann")
    enrolled("ann", image=image)
    with store.write() as uow:
        uow.batches.note_photo(uow.templates.of("ann")[0].id, photo_digest("Ada", image))
        uow.commit()
    job, take = batch(Ada=[image])
    write = store.write

    def erase_first():
        store.write = write
        erase("ann")
        return write()

    def taken(item):
        with store.read() as uow:
            if uow.people.get("ann") is not None:
                store.write = erase_first
        return take(item)

    run(run_batch, job, taken)
    (one,) = items(store)
    assert (one.status, one.person_id == "ann") == ("enrolled", False)


def test_who_is_merged_while_the_photo_is_read_is_looked_for_anew(
    store, batch, run_batch, enrolled, merge, pictures, reader
):
    enrolled("bob", external_id="Ada", image=pictures.of("ann", 0.9))
    enrolled("ann")
    job, take = batch(Ada=[pictures.of("ann")])

    def first():
        reader.before_reading = lambda: None
        merge("bob", into="ann")

    reader.before_reading = first
    run(run_batch, job, take)
    (one,) = items(store)
    assert (one.code, one.person_id) in {(None, "ann"), ("DuplicatePerson", "ann")}
