import pytest

from app.errors import UnknownJob


def test_one_that_waits_ends_at_once(asked, cancel, claim, events, time):
    job = asked()
    ended = cancel(job.id).job
    assert (ended.status, ended.finished_at, ended.error) == ("cancelled", time.now, None)
    assert claim() is None
    assert [event.type for event in events(job.id).events] == ["status", "completed"]


def test_one_that_is_worked_on_is_told_once(asked, cancel, claim, events):
    job = asked()
    claim()
    state = cancel(job.id)
    assert (state.job.status, state.job.cancel_asked) == ("running", True)
    assert cancel(job.id).job == state.job
    last = events(job.id).events[-1]
    assert (last.type, last.data) == ("status", {"status": "running", "attempt": 1, "cancel_asked": True})


def test_one_that_has_ended_stays_as_it_is(asked, cancel, claim, run, find):
    job = asked()
    run(claim())
    before = find(job.id).job
    assert cancel(job.id).job == before == find(job.id).job


def test_nobody_cancels_what_is_another_s(asked, cancel, key):
    job = asked()
    with pytest.raises(UnknownJob):
        cancel(job.id, key("k2"))
