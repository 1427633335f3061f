import threading
import time

import pytest

from app.worker.loop import JobLoop


class Script:
    """Work whose jobs are names, done when they are run."""

    def __init__(self, *jobs):
        self.jobs, self.ran, self.tidied, self.swept = list(jobs), [], 0, 0
        self.faults, self.hold = [], None

    def waits(self):
        return list(self.jobs)

    def claim(self, among):
        if self.faults:
            raise self.faults.pop(0)
        return self.jobs.pop(0) if self.jobs else None

    def run(self, job, stop):
        if self.hold is not None:
            self.hold(stop)
        self.ran.append(job)

    def sweep(self):
        self.swept += 1

    def tidy(self):
        self.tidied += 1


@pytest.fixture
def begin():
    loops = []

    def start(work, **more):
        told = []
        loop = JobLoop(
            work, **{"may_begin": lambda: True, "report": told.append, "poll_s": 0.01, "tidy_s": 60.0, **more}
        )
        loops.append(loop)
        loop.start()
        return loop, told

    yield start
    for loop in loops:
        loop.stop()
        assert loop.join(5)


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_runs_one_job_after_the_other_and_tidies_once_a_while(begin):
    work = Script("a", "b", "c")
    begin(work)
    wait_for(lambda: work.ran == ["a", "b", "c"])
    wait_for(lambda: work.tidied == 1)
    work.jobs.append("d")
    wait_for(lambda: work.ran[-1] == "d")
    assert work.tidied == 1


def test_sweeps_and_tidies_while_a_job_runs(begin):
    work, running = Script("a"), threading.Event()

    def hold(stop):
        running.set()
        assert stop.wait(5)

    work.hold = hold
    begin(work, tidy_s=0.02)
    assert running.wait(5)
    swept, tidied = work.swept, work.tidied
    wait_for(lambda: work.swept > swept + 2 and work.tidied > tidied + 2)
    assert work.ran == []


def test_a_fault_of_a_sweep_is_told_and_neither_keeps_jobs_nor_the_next_sweep(begin):
    work, faults = Script("a"), [OSError("disk")]

    def sweep():
        if faults:
            raise faults.pop()
        work.swept += 1

    work.sweep = sweep
    _, told = begin(work)
    wait_for(lambda: work.ran == ["a"] and work.swept)
    assert [type(fault) for fault in told] == [OSError]


def test_the_stop_waits_for_a_sweep_that_has_begun_but_not_for_the_next(begin):
    work, begun, go_on = Script(), threading.Event(), threading.Event()

    def sweep():
        work.swept += 1
        begun.set()
        assert go_on.wait(5)

    work.sweep = sweep
    loop, _ = begin(work, poll_s=60.0)
    assert begun.wait(5)
    loop.stop()
    assert not loop.join(0.05)
    go_on.set()
    assert loop.join(5)
    assert work.swept == 1


def test_tidies_again_when_it_is_time(begin):
    work = Script()
    begin(work, tidy_s=0.0)
    wait_for(lambda: work.tidied > 3)


def test_begins_nothing_while_it_may_not(begin):
    work, may = Script("a"), threading.Event()
    begin(work, may_begin=may.is_set)
    time.sleep(0.05)
    assert (work.ran, work.tidied, work.swept) == ([], 0, 0)
    may.set()
    wait_for(lambda: work.ran == ["a"])


def test_a_fault_is_told_and_the_next_job_is_run_all_the_same(begin):
    work = Script("a")
    work.faults = [OSError("disk"), RuntimeError("again")]
    _, told = begin(work)
    wait_for(lambda: work.ran == ["a"])
    assert [type(fault) for fault in told] == [OSError, RuntimeError]


def test_looks_at_once_when_it_is_woken(begin):
    work, wake = Script(), threading.Event()
    begin(work, wake=wake, poll_s=60.0)
    wait_for(lambda: work.tidied)
    work.jobs.append("a")
    wake.set()
    wait_for(lambda: work.ran == ["a"])


def test_tells_a_running_job_to_stop_and_begins_no_other(begin):
    work = Script("a", "b")
    running = threading.Event()

    def hold(stop):
        running.set()
        assert stop.wait(5)

    work.hold = hold
    loop, _ = begin(work)
    assert running.wait(5)
    loop.stop()
    assert loop.join(5)
    assert work.ran == ["a"]


def test_one_that_was_never_started_has_ended():
    loop = JobLoop(Script(), may_begin=lambda: True, report=lambda fault: None)
    loop.stop()
    assert loop.join(0)
