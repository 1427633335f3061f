from datetime import timedelta

import pytest

from app.domain.batch import BatchItem
from app.domain.job import ENROLL_BATCH, Job

SOON = timedelta(seconds=30)


@pytest.fixture
def job(noon):
    def make(id_="job_1", **fields):
        more = {"owner": "k1", "digest": id_, "parameters": {"form": "zip"}, "steps": 3, "created_at": noon}
        return Job(id_, ENROLL_BATCH, **{**more, "expires_at": noon + timedelta(days=7), "max_attempts": 2, **fields})

    return make


@pytest.fixture
def do(store):
    """Runs one method of the jobs in a transaction of its own."""

    def run(name, *args, **more):
        with store.write() as uow:
            answer = getattr(uow.jobs, name)(*args, **more)
            uow.commit()
        return answer

    return run


@pytest.fixture
def claim(do, noon):
    def take(*among, at=noon, token="t1"):
        return do("claim", ENROLL_BATCH, among or ("job_1",), token=token, now=at, until=at + SOON)

    return take


def get(store, job_id="job_1"):
    with store.read() as uow:
        return uow.jobs.get(job_id)


def test_gives_back_what_was_added(store, do, job):
    made = job(parameters={"form": "zip", "defaults": {"groups": ["a"]}})
    do("add", made)
    assert get(store) == made
    with store.read() as uow:
        assert uow.jobs.of("k1", ENROLL_BATCH, "job_1") == made
        assert uow.jobs.of("k2", ENROLL_BATCH, "job_1") is None
        assert uow.jobs.get("job_2") is None


def test_one_owner_has_one_job_of_one_content(do, job):
    do("add", job())
    with pytest.raises(Exception, match="job"):
        do("add", job("job_2", digest="job_1"))
    do("add", job("job_3", digest="job_1", owner="k2"))


def test_the_oldest_of_those_named_is_claimed_once(store, do, job, claim, noon):
    do("add", job("job_1", created_at=noon + SOON))
    do("add", job("job_2"))
    do("add", job("job_3", created_at=noon - SOON))
    begun = claim("job_1", "job_2")
    assert (begun.id, begun.status, begun.token, begun.attempt) == ("job_2", "running", "t1", 1)
    assert (begun.started_at, begun.begun_at, begun.lease_until) == (noon, noon, noon + SOON)
    assert get(store, "job_2") == begun
    assert claim("job_1", "job_2", token="t2").id == "job_1"
    assert claim("job_1", "job_2", token="t3") is None
    assert claim() is None


def test_says_whether_one_waits_without_writing(store, do, job, claim, noon):
    do("add", job())
    with store.read() as uow:
        assert uow.jobs.waiting(ENROLL_BATCH, ["job_1"], noon)
        assert not uow.jobs.waiting(ENROLL_BATCH, ["job_2"], noon)
        assert not uow.jobs.waiting(ENROLL_BATCH, [], noon)
    claim()
    with store.read() as uow:
        assert not uow.jobs.waiting(ENROLL_BATCH, ["job_1"], noon)
        assert uow.jobs.waiting(ENROLL_BATCH, ["job_1"], noon + 2 * SOON)


def test_a_job_whose_lease_ran_out_is_begun_by_the_next_and_lost_to_the_first(store, do, job, claim, noon):
    do("add", job())
    claim()
    assert claim(token="t2", at=noon + SOON) is None
    again = claim(token="t2", at=noon + 2 * SOON)
    assert (again.attempt, again.token) == (2, "t2")
    assert do("beat", "job_1", "t1", noon) is None
    assert do("advance", "job_1", "t1") is False
    assert do("release", "job_1", "t1") is False
    assert do("end", "job_1", "succeeded", token="t1", at=noon, expires_at=noon) is False
    assert get(store) == again


def test_a_beat_renews_the_lease_and_hears_of_a_cancellation(store, do, job, claim, noon):
    do("add", job())
    claim()
    assert do("beat", "job_1", "t1", noon + 3 * SOON) is False
    assert get(store).lease_until == noon + 3 * SOON
    do("ask_cancel", "job_1")
    assert do("beat", "job_1", "t1", noon + 3 * SOON) is True
    do("go_on", "job_1", noon)
    assert do("beat", "job_1", "t1", noon + 3 * SOON) is False


def test_attempts_count_anew_once_the_job_got_on(store, do, job, claim, noon):
    do("add", job())
    claim(at=noon)
    assert claim(at=noon + 2 * SOON).attempt == 2
    assert claim(at=noon + 4 * SOON) is None
    with store.read() as uow:
        assert [one.id for one in uow.jobs.given_up(ENROLL_BATCH, noon + 4 * SOON)] == ["job_1"]
    assert do("advance", "job_1", "t1") is True
    with store.read() as uow:
        assert uow.jobs.given_up(ENROLL_BATCH, noon + 4 * SOON) == []
    begun = claim(at=noon + 4 * SOON)
    assert (begun.attempt, begun.step, begun.begun_step) == (1, 1, 1)


def test_a_released_job_waits_as_if_it_had_not_been_begun(store, do, job, claim):
    do("add", job())
    claim()
    assert do("release", "job_1", "t1") is True
    waiting = get(store)
    assert (waiting.status, waiting.attempt, waiting.token, waiting.lease_until) == ("queued", 0, None, None)
    assert claim(token="t2").attempt == 1


def test_ends_a_job_that_runs_by_its_token_and_a_queued_one_without(store, do, job, claim, noon):
    do("add", job())
    do("add", job("job_2"))
    claim()
    more = {"at": noon, "expires_at": noon + SOON}
    assert do("end", "job_1", "failed", token=None, **more) is False
    assert do("end", "job_1", "failed", token="t1", error={"code": "internal", "detail": "why"}, **more) is True
    assert do("end", "job_2", "cancelled", token=None, **more) is True
    assert do("end", "job_2", "succeeded", token=None, **more) is False
    ended = get(store)
    assert (ended.status, ended.error, ended.finished_at) == ("failed", {"code": "internal", "detail": "why"}, noon)
    assert (ended.token, ended.lease_until, ended.expires_at) == (None, None, noon + SOON)
    assert get(store, "job_2").error is None


def test_an_ended_job_goes_on_from_where_it_was(store, do, job, claim, noon):
    do("add", job())
    claim()
    do("advance", "job_1", "t1")
    do("end", "job_1", "failed", token="t1", at=noon, expires_at=noon, error={"code": "internal", "detail": "why"})
    do("go_on", "job_1", noon + SOON)
    waiting = get(store)
    assert (waiting.status, waiting.step, waiting.attempt, waiting.error) == ("queued", 1, 0, None)
    assert (waiting.finished_at, waiting.expires_at) == (None, noon + SOON)
    assert claim(token="t2").begun_step == 1


def test_steps_can_be_counted_anew(store, do, job):
    do("add", job())
    do("count_anew", "job_1", 2, 7)
    assert (get(store).step, get(store).steps) == (2, 7)


def test_what_nobody_will_begin_again_is_given_up(store, do, job, claim, noon):
    do("add", job("expired", expires_at=noon - SOON))
    do("add", job("cancelled"))
    do("add", job("waiting"))
    claim("cancelled")
    do("ask_cancel", "cancelled")

    def given_up(at):
        with store.read() as uow:
            return sorted(one.id for one in uow.jobs.given_up(ENROLL_BATCH, at))

    assert given_up(noon) == ["expired"]
    assert given_up(noon + 2 * SOON) == ["cancelled", "expired"]
    assert claim("cancelled", at=noon + 2 * SOON) is None


def test_what_ended_and_expired_is_forgotten_with_its_items(store, do, job, noon):
    for name in ("job_1", "job_2", "job_3"):
        do("add", job(name))
        with store.write() as uow:
            uow.batches.add(name, [BatchItem(0, 0, "Ada/1.jpg")])
            uow.commit()
    do("end", "job_1", "succeeded", token=None, at=noon, expires_at=noon)
    do("end", "job_2", "succeeded", token=None, at=noon, expires_at=noon + 2 * SOON)
    assert do("forget", ENROLL_BATCH, noon + SOON) == ["job_1"]
    assert [get(store, name) is None for name in ("job_1", "job_2", "job_3")] == [True, False, False]
    with store.read() as uow:
        assert uow.batches.counts("job_1") == {}
        assert uow.batches.counts("job_2") == {"pending": 1}


def test_says_which_have_not_ended_oldest_first(store, do, job, claim, noon):
    do("add", job("job_2", created_at=noon))
    do("add", job("job_1", created_at=noon - SOON))
    do("add", job("job_3", created_at=noon + SOON))
    claim("job_2")
    do("end", "job_3", "failed", token=None, at=noon, expires_at=noon)
    with store.read() as uow:
        assert uow.jobs.unended(ENROLL_BATCH) == ["job_1", "job_2"]
        assert uow.jobs.unended("another kind") == []


def test_several_steps_are_counted_at_once_by_whoever_holds_the_lease(store, do, job, claim):
    do("add", job(steps=9))
    claim()
    assert do("advance", "job_1", "t1", 4) is True
    assert do("advance", "job_1", "t1", 0) is True
    assert do("advance", "job_1", "t2", 1) is False
    assert get(store).step == 4


def test_what_was_found_is_kept_with_the_end_and_forgotten_when_it_goes_on(store, do, job, claim, noon):
    do("add", job())
    claim()
    found = {"templates": 3, "points": [{"name": "a", "threshold": 0.5}]}
    do("end", "job_1", "succeeded", token="t1", at=noon, expires_at=noon, result=found)
    assert get(store).result == found
    do("go_on", "job_1", noon)
    assert get(store).result is None
