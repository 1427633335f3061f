"""Renders as rows: the same promises in memory, on SQLite and on PostgreSQL."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.style_job import KEPT_EVENTS, StyleJob

LEASE_S = 30.0
LATER = timedelta(seconds=31)


@pytest.fixture
def time(store, monkeypatch, noon):
    """A clock of the database's own that moves only when told."""

    class Time:
        now = noon

        def move(self, by):
            self.now += by

    told = Time()
    monkeypatch.setattr(store, "time", lambda: told.now)
    return told


@pytest.fixture
def job(noon):
    def make(id_="sty_1", **fields):
        more = {
            "owner": "k1",
            "home": "here",
            "digest": "d",
            "options": {"steps": 3, "masks": []},
            "input": {"content": {"bytes": 1}, "styles": [{"bytes": 2}]},
            "medium": "picture",
            "media_type": "image/png",
            "steps": 3,
            "scales": 1,
            "memory_bytes": 1 << 40,
            "engine": {"version": 1},
            "created_at": noon,
            "expires_at": noon + timedelta(days=7),
        }
        return StyleJob(id_, **{**more, **fields})

    return make


@pytest.fixture
def do(store):
    """Runs one method in a transaction of its own."""

    def run(name, *args, **more):
        with store.write() as uow:
            answer = getattr(uow.style_jobs, name)(*args, **more)
            uow.commit()
        return answer

    return run


@pytest.fixture
def ask(store):
    """Runs one method that reads."""

    def run(name, *args, **more):
        with store.read() as uow:
            return getattr(uow.style_jobs, name)(*args, **more)

    return run


def test_gives_back_what_was_added(do, ask, job, noon):
    made = job(person_id="per_1", resumed_from="sty_0", checkpoint={"name": "0/checkpoint-1", "step": 1})
    do("add", made)
    assert ask("get", "sty_1") == made
    assert ask("get", "sty_2") is None
    assert ask("of_person", "per_1") == [made]
    assert ask("of_person", "per_2") == []
    assert ask("missing", ["sty_1", "sty_2"]) == ["sty_2"]


def test_the_database_tells_the_time(ask):
    told = ask("now")
    assert told.tzinfo is not None
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_oldest_is_claimed_first_and_each_once(do, ask, job, time, noon):
    do("add", job("sty_2"))
    do("add", job("sty_1", created_at=noon + timedelta(seconds=1)))
    do("add", job("sty_0", home="elsewhere"))
    assert ask("waiting", "here")
    begun = do("claim", "here", LEASE_S)
    assert (begun.id, begun.status, begun.token, begun.attempt) == ("sty_2", "running", 1, 1)
    assert (begun.started_at, begun.begun_at, begun.lease_until) == (noon, noon, noon + timedelta(seconds=30))
    assert ask("get", "sty_2") == begun
    assert do("claim", "here", LEASE_S).id == "sty_1"
    assert do("claim", "here", LEASE_S) is None
    assert not ask("waiting", "here")


def test_of_many_who_claim_at_once_each_gets_another_one(store, job, do):
    for number in range(24):
        do("add", job(f"sty_{number:02}"))
    taken, together = [], threading.Barrier(6)

    def work():
        together.wait()
        while True:
            with store.write() as uow:
                claimed = uow.style_jobs.claim("here", LEASE_S)
                uow.commit()
            if claimed is None:
                return
            taken.append(claimed.id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [f"sty_{number:02}" for number in range(24)]


def test_whoever_lost_the_lease_writes_nothing_more(do, ask, job, time):
    do("add", job())
    do("claim", "here", LEASE_S)
    assert do("write", "sty_1", 1, step=1, losses={"total": 2.5}) is False
    time.move(timedelta(seconds=29))
    assert do("claim", "here", LEASE_S) is None
    time.move(timedelta(seconds=2))
    again = do("claim", "here", LEASE_S)
    assert (again.token, again.attempt, again.begun_step, again.losses) == (2, 2, 1, {"total": 2.5})
    assert do("write", "sty_1", 1, step=3) is None
    assert do("beat", "sty_1", 1, LEASE_S) is None
    assert do("release", "sty_1", 1, counted=True) is False
    assert do("end", "sty_1", "succeeded", token=1, expires_at=time.now, output={"name": "1/result"}) is False
    assert ask("get", "sty_1") == again
    assert do("write", "sty_1", 2, step=2) is False


def test_a_lease_that_is_renewed_is_not_taken_over(do, ask, job, time):
    do("add", job())
    do("claim", "here", LEASE_S)
    time.move(timedelta(seconds=25))
    assert do("beat", "sty_1", 1, LEASE_S) is False
    time.move(timedelta(seconds=25))
    assert do("claim", "here", LEASE_S) is None
    assert ask("given_up", "here") == []


def test_whoever_writes_hears_that_it_shall_be_cancelled(do, job):
    do("add", job())
    do("ask_cancel", "sty_1")
    do("claim", "here", LEASE_S)
    assert do("beat", "sty_1", 1, LEASE_S) is False
    do("ask_cancel", "sty_1")
    assert do("beat", "sty_1", 1, LEASE_S) is True
    assert do("write", "sty_1", 1, step=1) is True


def test_what_was_left_when_cancelled_is_given_up_and_not_claimed(do, ask, job, time):
    do("add", job())
    do("claim", "here", LEASE_S)
    do("ask_cancel", "sty_1")
    time.move(LATER)
    assert do("claim", "here", LEASE_S) is None
    assert [one.id for one in ask("given_up", "here")] == ["sty_1"]
    assert ask("given_up", "elsewhere") == []


def test_after_three_attempts_it_is_given_up(do, ask, job, time):
    do("add", job())
    for attempt in (1, 2, 3):
        assert do("claim", "here", LEASE_S).attempt == attempt
        assert ask("given_up", "here") == []
        time.move(LATER)
    assert do("claim", "here", LEASE_S) is None
    assert [one.id for one in ask("given_up", "here")] == ["sty_1"]


def test_an_attempt_that_is_given_back_counts_or_does_not(do, ask, job):
    do("add", job())
    do("claim", "here", LEASE_S)
    assert do("release", "sty_1", 1, counted=False) is True
    waiting = ask("get", "sty_1")
    assert (waiting.status, waiting.attempt, waiting.token, waiting.lease_until) == ("queued", 0, 1, None)
    assert do("claim", "here", LEASE_S).token == 2
    assert do("release", "sty_1", 2, counted=True, error={"code": "internal"}) is True
    waiting = ask("get", "sty_1")
    assert (waiting.attempt, waiting.error) == (1, {"code": "internal"})


def test_an_end_is_written_once_with_what_was_made(do, ask, job, time, noon):
    do("add", job())
    do("claim", "here", LEASE_S)
    until = noon + LATER
    made = {"output": {"name": "1/result", "width": 3}, "metrics": {"run_s": 2.0}, "step": 3}
    assert do("end", "sty_1", "succeeded", token=1, expires_at=until, **made) is True
    ended = ask("get", "sty_1")
    assert (ended.status, ended.finished_at, ended.lease_until, ended.error) == ("succeeded", noon, None, None)
    assert (ended.output, ended.metrics, ended.step) == (made["output"], made["metrics"], 3)
    assert do("end", "sty_1", "cancelled", token=1, expires_at=until) is False
    assert do("write", "sty_1", 1, step=0) is None
    assert ask("expired") == []
    time.move(LATER + LATER)
    assert ask("expired") == ["sty_1"]


def test_nobody_who_works_on_it_changes_whose_it_is(do, job):
    do("add", job())
    do("claim", "here", LEASE_S)
    with pytest.raises(ValueError, match="owner"):
        do("write", "sty_1", 1, owner="k2")


def test_what_waits_beyond_its_time_is_given_up_wherever_its_files_lie(do, ask, job, time, noon):
    do("add", job(home="elsewhere", expires_at=noon + timedelta(seconds=1)))
    assert ask("given_up", "here") == []
    time.move(LATER)
    assert [one.id for one in ask("given_up", "here")] == ["sty_1"]


def test_lists_the_newest_first_of_whoever_and_whatever_is_asked_for(do, ask, job):
    for number in range(4):
        do("add", job(f"sty_{number}", owner="k1" if number % 2 else "k2"))
    do("claim", "here", LEASE_S)

    def ids(**asked):
        page = {"owner": None, "status": None, "before": None, "limit": 10, **asked}
        return [one.id for one in ask("page", **page)]

    assert ids() == ["sty_3", "sty_2", "sty_1", "sty_0"]
    assert ids(owner="k1") == ["sty_3", "sty_1"]
    assert ids(status="running") == ["sty_0"]
    assert ids(before="sty_3", limit=2) == ["sty_2", "sty_1"]
    assert ask("count_queued", "here") == 3
    assert [one.id for one in ask("unended", "here")] == ["sty_0", "sty_1", "sty_2", "sty_3"]


def test_tells_what_was_done_lately(do, ask, job, time):
    for number in range(3):
        do("add", job(f"sty_{number}"))
        do("claim", "here", LEASE_S)
        time.move(timedelta(seconds=1))
        do("end", f"sty_{number}", "succeeded" if number else "failed", token=1, expires_at=time.now)
    assert [one.id for one in ask("done_lately", "here", 5)] == ["sty_2", "sty_1"]
    assert ask("done_lately", "elsewhere", 5) == []


def test_events_are_counted_without_gaps_for_each_job(do, ask, job, noon, time):
    do("add", job())
    do("add", job("sty_2"))
    assert [do("tell", "sty_1", "status", {"status": "queued"}) for _ in range(3)] == [1, 2, 3]
    assert do("tell", "sty_2", "warning", {"detail": "why"}) == 1
    (last,) = ask("events", "sty_1", after=2, limit=10)
    assert (last.seq, last.job_id, last.type, last.data, last.at) == (3, "sty_1", "status", {"status": "queued"}, noon)
    assert [event.seq for event in ask("events", "sty_1", after=0, limit=2)] == [1, 2]
    assert ask("get", "sty_1").seq == 3


def test_an_event_whose_transaction_fails_leaves_no_gap(store, do, job):
    do("add", job())
    with store.write() as uow:
        uow.style_jobs.tell("sty_1", "warning", {})
    assert do("tell", "sty_1", "warning", {}) == 1


def test_events_told_at_once_are_counted_without_gaps(store, do, ask, job):
    do("add", job())

    def tell():
        for _ in range(10):
            do("tell", "sty_1", "progress", {})

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in ask("events", "sty_1", after=0, limit=100)] == list(range(1, 41))


def test_old_progress_is_let_go_and_the_rest_is_kept(store, do, ask, job):
    do("add", job())
    with store.write() as uow:
        uow.style_jobs.tell("sty_1", "status", {})
        for _ in range(KEPT_EVENTS + 18):
            uow.style_jobs.tell("sty_1", "progress", {})
        uow.commit()
    assert ask("get", "sty_1").pruned == 0
    do("tell", "sty_1", "preview", {})
    assert ask("get", "sty_1").pruned == 20
    kept = [event.seq for event in ask("events", "sty_1", after=0, limit=1000)]
    assert kept == [1, *range(21, KEPT_EVENTS + 21)]


def test_is_removed_with_its_events(do, ask, job):
    do("add", job())
    do("tell", "sty_1", "status", {})
    assert do("remove", "sty_1") is True
    assert do("remove", "sty_1") is False
    assert ask("get", "sty_1") is None
    assert ask("events", "sty_1", after=0, limit=9) == []


def test_a_reader_writes_nothing(ask, job):
    with pytest.raises(Exception):  # noqa: B017, PT011 - each store says it in its own way
        ask("add", job())


def test_nothing_shares_a_dictionary_with_whoever_wrote_it(do, ask, job):
    options = {"layers": {"conv1_1": 1.0}}
    do("add", job(options=options))
    options["layers"]["conv1_1"] = 2.0
    assert ask("get", "sty_1") == replace(job(), options={"layers": {"conv1_1": 1.0}})
