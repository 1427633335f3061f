import dataclasses
import threading
from datetime import timedelta

import numpy as np
import pytest

from app.actions.calibrations import CancelCalibration, RunCalibration, find_calibration
from app.actions.jobs import LEASE_S, ClaimJob
from app.domain.actor import LOCAL
from app.domain.batch import BatchItem, Place
from app.domain.job import CALIBRATION, Job
from app.domain.key import Key
from app.errors import Busy, InvalidField, UnknownJob, UnreadableImage
from app.routes.problems import told

KEPT = timedelta(days=7)


class Files:
    """A spool whose files are dictionaries."""

    def __init__(self):
        self.files = {}

    def held(self):
        return list(self.files)

    def read(self, job_id, place):
        return self.files[job_id][place.begin] if job_id in self.files else _missing()

    def remove(self, job_id):
        return self.files.pop(job_id, None) is not None


def _missing():
    raise FileNotFoundError


@pytest.fixture
def spool():
    return Files()


@pytest.fixture
def measured():
    """What the measuring was asked, and answers."""
    return []


@pytest.fixture
def claim(store, clock, identifiers):
    return ClaimJob(store, clock, identifiers, CALIBRATION)


@pytest.fixture
def run(store, reader, spool, clock, measured):
    def measure(faces, labels, name, model_id):
        measured.append((faces, labels, name, model_id))
        return {"model_id": model_id, "people": len(set(labels))}

    return RunCalibration(store, reader, spool, clock, KEPT, told, measure, lambda: 0, spool.remove)


@pytest.fixture
def sent(store, spool, clock):
    """A job of folders of photos; its id."""

    def make(owner=LOCAL, **folders):
        content, items = {}, []
        for person, photos in folders.items():
            first = len(items)
            for photo in photos:
                content[len(items)] = photo
                place = Place(len(items), len(items), len(items) + 1, 1)
                items.append(BatchItem(len(items), first, f"{person}/{len(items)}.jpg", place=place))
        now = clock.now()
        spool.files["job_1"] = content
        with store.write() as uow:
            parameters = {"form": "zip", "name": "ours"}
            uow.jobs.add(Job("job_1", CALIBRATION, owner, "d", parameters, len(items), now, now + KEPT, 5))
            uow.batches.add("job_1", items)
            uow.commit()
        return "job_1"

    return make


def job_of(store):
    with store.read() as uow:
        return uow.jobs.get("job_1")


def rows(store):
    with store.read() as uow:
        return uow.batches.page("job_1", status=None, after=-1, limit=99)


def go(run, claim, **more):
    run(claim(["job_1"]), stop=more.pop("stop", None) or threading.Event())


def test_every_photo_is_measured_with_its_label_and_what_shows_no_face_as_missing(
    sent, run, claim, pictures, measured, store, spool
):
    sent(ann=[pictures.of("ann"), pictures.show()], bob=[b"no picture", pictures.of("bob")])
    go(run, claim)
    ((faces, labels, name, model_id),) = measured
    assert (labels, name, model_id) == (["ann", "ann", "bob", "bob"], "ours", "model-a")
    assert [face is None for face in faces] == [False, True, True, False]
    np.testing.assert_array_equal(faces[0], pictures.axis("ann"))
    job = job_of(store)
    assert (job.status, job.step, job.steps, job.result) == ("succeeded", 4, 4, {"model_id": "model-a", "people": 2})
    assert (rows(store), spool.held()) == ([], [])


def test_what_cannot_be_measured_fails_with_the_reason_and_keeps_no_photo(sent, run, claim, pictures, store, spool):
    def refuse(*asked):
        raise InvalidField("photos", "Too few people.")

    sent(ann=[pictures.of("ann")])
    go(dataclasses.replace(run, measure=refuse), claim)
    job = job_of(store)
    assert (job.status, job.error["code"], job.error["detail"]) == ("failed", "invalid_field", "Too few people.")
    assert (rows(store), spool.held()) == ([], [])


def test_it_waits_where_the_reader_is_busy(sent, run, claim, pictures, measured, store):
    sent(ann=[pictures.of("ann")])
    read, refusals = run.reader.read, iter([Busy, Busy])

    def busy(image, **more):
        refusal = next(refusals, None)
        if refusal is not None:
            raise refusal
        return read(image, **more)

    run.reader.read = busy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.actions.calibrations.PAUSE_S", 0.001)
        go(run, claim)
    assert (job_of(store).status, len(measured)) == ("succeeded", 1)


def test_who_is_erased_meanwhile_is_not_measured(sent, run, claim, pictures, measured, store, enrolled, erase, reader):
    enrolled("p1", external_id="ann", image=pictures.of("ann"))
    sent(bob=[pictures.of("bob")], ann=[pictures.of("ann"), pictures.of("ann")])
    receipts = []
    reader.before_reading = lambda: receipts or receipts.append(erase("p1"))
    go(run, claim)
    ((_, labels, _, _),) = measured
    assert labels == ["bob"]
    assert (receipts[0].removed["calibration_files"], receipts[0].removed["batch_files"]) == (2, 0)


def test_a_cut_over_in_the_middle_has_all_of_it_read_again_by_one_model(
    sent, run, claim, pictures, measured, reader, store
):
    sent(ann=[pictures.of("ann"), pictures.of("ann")])
    seen = []

    def change():
        seen.append(1)
        if len(seen) == 2:
            reader.model_id = "model-b"

    reader.before_reading = change
    go(run, claim)
    ((faces, _, _, model_id),) = measured
    assert (model_id, len(seen)) == ("model-b", 4)
    np.testing.assert_array_equal(faces[0], faces[1])


def test_whoever_goes_on_after_a_kill_reads_all_of_it_again(sent, run, claim, pictures, measured, clock, store, reader):
    sent(ann=[pictures.of("ann")])
    assert claim(["job_1"]).attempt == 1
    clock.move(seconds=LEASE_S + 1)
    go(run, claim)
    assert (job_of(store).status, len(measured)) == ("succeeded", 1)


def test_an_attempt_that_lost_its_lease_writes_nothing(sent, run, claim, pictures, clock, store, reader):
    sent(ann=[pictures.of("ann")])
    taken = []

    def lose():
        if not taken:
            clock.move(seconds=LEASE_S + 1)
            taken.append(claim(["job_1"]))

    reader.before_reading = lose
    go(run, claim)
    assert (job_of(store).status, job_of(store).token) == ("running", taken[0].token)
    run(taken[0], stop=threading.Event())
    assert job_of(store).status == "succeeded"


def test_a_key_that_may_not_any_more_ends_it(sent, run, claim, pictures, store, measured, spool):
    sent("key-gone", ann=[pictures.of("ann")])
    go(run, claim)
    assert (job_of(store).status, job_of(store).error["code"], measured) == ("failed", "bad_key", [])
    assert spool.held() == []


def test_a_stopped_one_is_queued_again_and_keeps_its_photos(sent, run, claim, pictures, store, spool):
    sent(ann=[pictures.of("ann")])
    stop = threading.Event()

    def stop_now(lease, waiting):
        stop.set()
        lease.halted.wait(5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.actions.jobs.Lease.make_way", stop_now)
        go(run, claim, stop=stop)
    assert (job_of(store).status, spool.held(), len(rows(store))) == ("queued", ["job_1"], 1)


def test_a_cancelled_one_that_waits_keeps_no_photo(sent, pictures, store, spool, clock):
    sent("key-1", ann=[pictures.of("ann")])
    cancel = CancelCalibration(store, spool, clock, KEPT)
    owner = Key("key-1", "k", frozenset({"calibrate"}), clock.now(), b"")
    with pytest.raises(UnknownJob):
        cancel("job_1", dataclasses.replace(owner, id="key-2"))
    assert cancel("job_1", owner).job.status == "cancelled"
    assert (rows(store), spool.held()) == ([], [])
    assert find_calibration(store, clock)("job_1", owner).job.status == "cancelled"


def test_a_damaged_entry_counts_as_missed(sent, run, claim, pictures, measured, spool):
    sent(ann=[pictures.of("ann"), pictures.of("ann")])
    read = spool.read

    def damaged(job_id, place):
        if place.begin == 1:
            raise UnreadableImage
        return read(job_id, place)

    spool.read = damaged
    go(run, claim)
    assert [face is None for face in measured[0][0]] == [False, True]
