"""Batches taken in, and tidied up."""

import contextlib
import os
import threading
import time
from datetime import timedelta

import pytest

from app.actions.batches import CancelBatch
from app.actions.jobs import LEASE_S
from app.actions.submit_batch import SubmitBatch
from app.actions.tidy_batches import TidyBatches, let_file_go
from app.domain.batch import BatchItem, Outcome
from app.domain.job import ENROLL_BATCH
from app.domain.key import Key
from app.errors import UnknownGallery
from app.store.files.batch_file import Limits
from app.store.files.spool import FileSpool

KEPT = timedelta(days=7)
LINES = b'{"name": "Ada"}\n{"name": "Bob"}\n'


@pytest.fixture
def spool(tmp_path):
    return FileSpool(tmp_path / "batches", Limits(10, 10_000, 100_000))


@pytest.fixture
def submit(store, spool, clock, identifiers):
    action = SubmitBatch(store, spool, clock, identifiers, KEPT)

    def send(content=LINES, owner="k1", **more):
        draft = spool.draft("lines")
        draft.write(content)
        try:
            return action(draft, owner, {"form": "lines", "defaults": more.pop("defaults", {})}, **more)
        finally:
            draft.discard()

    return send


@pytest.fixture
def tidy(store, spool, clock):
    reports = []
    return TidyBatches(store, spool, clock, KEPT, reports.append)


@pytest.fixture
def change(store):
    def run(name, *args, **more):
        with store.write() as uow:
            answer = getattr(uow.jobs, name)(*args, **more)
            uow.commit()
        return answer

    return run


@pytest.fixture
def claim(change, clock):
    def take(job, token="t"):
        until = clock.now() + timedelta(seconds=LEASE_S)
        return change("claim", ENROLL_BATCH, [job.id], token=token, now=clock.now(), until=until)

    return take


def get(store, job):
    with store.read() as uow:
        return uow.jobs.get(job.id)


def test_the_same_content_of_the_same_owner_is_the_same_job(submit, spool):
    job = submit()
    assert (job.status, job.steps, job.step) == ("queued", 2, 0)
    assert submit().id == job.id
    assert submit(owner="k2").id != job.id
    assert submit(defaults={"groups": ["a"]}).id != job.id
    assert submit(LINES + b"{}\n").id != job.id
    assert len(spool.held()) == 4


def test_a_gallery_that_is_not_there_refuses_the_whole(submit, spool):
    with pytest.raises(UnknownGallery):
        submit(defaults={"galleries": ["nowhere"]})
    assert spool.held() == []


def test_a_waiting_job_whose_file_is_gone_gets_it_back(submit, spool):
    job = submit()
    spool.remove(job.id)
    assert submit().id == job.id
    assert spool.held() == [job.id]


def test_a_cancellation_that_was_asked_for_is_taken_back_by_sending_it_again(submit, claim, change, store):
    job = submit()
    claim(job)
    change("ask_cancel", job.id)
    assert submit().cancel_asked is False
    assert get(store, job).status == "running"


def test_a_failed_job_goes_on_without_whom_was_erased(submit, claim, change, store, spool, clock, enrolled):
    job = submit()
    claim(job)
    person = enrolled("ada")
    with store.write() as uow:
        uow.batches.settle(job.id, 0, Outcome("enrolled", person.id, "tpl_1"))
        uow.jobs.advance(job.id, "t")
        uow.batches.erase(person.id)
        uow.commit()
    change("end", job.id, "failed", token="t", at=clock.now(), expires_at=clock.now(), error={"code": "internal"})
    spool.remove(job.id)
    again = submit()
    assert (again.id, again.status, again.step, again.error) == (job.id, "queued", 1, None)
    content = spool.path(job.id).read_bytes()
    assert b"Ada" not in content
    assert b"Bob" in content
    with store.read() as uow:
        assert uow.batches.erased_places(job.id) == {}


def test_a_job_that_nobody_can_begin_is_given_up(submit, claim, store, clock, spool, tidy):
    job = submit()
    for attempt in range(5):
        assert claim(job, f"t{attempt}").attempt == attempt + 1
        clock.move(seconds=LEASE_S + 1)
    assert claim(job) is None
    tidy()
    ended = get(store, job)
    assert (ended.status, ended.error["code"]) == ("failed", "internal")
    assert "5 times" in ended.error["detail"]
    assert spool.held() == []


def test_a_job_that_does_not_end_in_time_is_given_up_and_forgotten_later(submit, store, clock, spool, tidy):
    job = submit()
    clock.move(days=7, seconds=1)
    tidy()
    assert (get(store, job).status, spool.held()) == ("failed", [])
    tidy()
    assert get(store, job) is not None
    clock.move(days=7, seconds=1)
    tidy()
    assert get(store, job) is None
    with store.read() as uow:
        assert uow.batches.counts(job.id) == {}


def test_a_cancelled_job_that_was_left_is_cancelled(submit, claim, change, store, clock, tidy):
    job = submit()
    claim(job)
    change("ask_cancel", job.id)
    clock.move(seconds=LEASE_S + 1)
    tidy()
    assert (get(store, job).status, get(store, job).error) == ("cancelled", None)


def test_a_file_without_a_row_goes_once_it_is_old(spool, tidy):
    draft = spool.draft("lines")
    draft.write(LINES)
    draft.keep("job_never")
    tidy()
    assert spool.held() == ["job_never"]
    long_ago = time.time() - 100_000
    os.utime(spool.path("job_never"), (long_ago, long_ago))
    tidy()
    assert spool.held() == []


def test_the_photos_of_the_erased_are_blanked_in_every_file_that_lies_here(submit, store, spool, tidy, enrolled):
    job = submit()
    person = enrolled("ada")
    with store.write() as uow:
        uow.batches.settle(job.id, 0, Outcome("enrolled", person.id, "tpl_1"))
        uow.batches.erase(person.id)
        uow.commit()
    assert tidy.blank_erased() == 1
    assert spool.path(job.id).read_bytes() == bytes(16) + b'{"name": "Bob"}\n'
    assert tidy.blank_erased() == 0


@pytest.fixture
def meanwhile(store, monkeypatch):
    """Has something done once, right after somebody has read a job's row and let go of the store."""
    read = store.read

    def after_a_look(do, when):
        todo = [do]

        @contextlib.contextmanager
        def spied():
            seen = []
            with read() as uow:
                for name in ("get", "of"):
                    monkeypatch.setattr(uow.jobs, name, _noting(getattr(uow.jobs, name), seen))
                yield uow
            if todo and any(job is not None and when(job) for job in seen):
                todo.pop()()

        monkeypatch.setattr(store, "read", spied)
        return todo

    return after_a_look


def _noting(look, seen):
    def noted(*asked):
        seen.append(look(*asked))
        return seen[-1]

    return noted


def test_tidying_keeps_the_file_of_a_batch_that_is_sent_again_meanwhile(
    submit, change, store, clock, spool, tidy, meanwhile
):
    job = submit()
    change("end", job.id, "failed", token=None, at=clock.now(), expires_at=clock.now() + KEPT)
    todo = meanwhile(submit, lambda job: job.ended)
    tidy()
    assert (todo, get(store, job).status, spool.held()) == ([], "queued", [job.id])


def test_cancelling_keeps_the_file_of_a_batch_that_is_sent_again_meanwhile(submit, store, clock, spool, meanwhile):
    job = submit()
    todo = meanwhile(submit, lambda job: job.ended)
    owner = Key("k1", "Loader", frozenset({"enroll"}), b"", clock.now())
    CancelBatch(store, spool, clock, KEPT)(job.id, owner)
    assert (todo, get(store, job).status, spool.held()) == ([], "queued", [job.id])


def test_a_file_goes_only_with_the_end_of_its_job_and_not_while_it_is_sent_again(submit, change, store, clock, spool):
    job = submit()
    assert not let_file_go(store, spool, job.id)
    assert spool.held() == [job.id]
    change("end", job.id, "failed", token=None, at=clock.now(), expires_at=clock.now() + KEPT)
    sent = threading.Thread(target=submit)

    class Slow:
        def remove(self, job_id):
            sent.start()
            sent.join(0.2)
            return spool.remove(job_id)

    assert let_file_go(store, Slow(), job.id)
    sent.join(5)
    assert (get(store, job).status, spool.held()) == ("queued", [job.id])


def test_a_cancelled_batch_that_ends_while_it_is_sent_again_gets_its_file_back(
    submit, claim, change, store, clock, spool, meanwhile
):
    job = submit()
    claim(job)
    change("ask_cancel", job.id)

    def end():
        change("end", job.id, "cancelled", token="t", at=clock.now(), expires_at=clock.now() + KEPT)
        assert let_file_go(store, spool, job.id)

    todo = meanwhile(end, lambda job: job.cancel_asked)
    assert submit().status == "queued"
    assert (todo, spool.held()) == ([], [job.id])


def test_items_refused_at_sight_count_as_done(submit):
    job = submit(b"x" * 200_000 + b"\n{}\n")
    assert (job.step, job.steps) == (1, 2)


def test_trying_again_does_not_bring_back_what_is_stored(submit, claim, change, store, clock, enrolled):
    job = submit()
    claim(job)
    person = enrolled("ada")
    with store.read() as uow:
        (template,) = uow.templates.of(person.id)
    with store.write() as uow:
        uow.batches.settle(job.id, 0, Outcome("enrolled", person.id, template.id))
        uow.batches.settle(job.id, 1, Outcome("refused", code="no_face"))
        uow.jobs.count_anew(job.id, 2, 2)
        uow.jobs.end(job.id, "succeeded", token="t", at=clock.now(), expires_at=clock.now())
        uow.commit()
    assert submit().status == "succeeded"
    again = submit(retry=True)
    assert (again.status, again.step) == ("queued", 1)
    with store.read() as uow:
        items = uow.batches.page(job.id, status=None, after=-1, limit=9)
    assert [(item.status, item.template_id) for item in items] == [("enrolled", template.id), ("pending", None)]
    assert items[1] == BatchItem(1, 1, "line 2", place=items[1].place)
