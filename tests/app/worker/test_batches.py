import threading
import time

import pytest

from app.worker.batches import BatchLoop


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
        loop = BatchLoop(
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
    assert (work.tidied, work.swept) == (1, 3)
    work.jobs.append("d")
    wait_for(lambda: work.ran[-1] == "d")
    assert work.tidied == 1


def test_tidies_again_when_it_is_time(begin):
    work = Script()
    begin(work, tidy_s=0.0)
    wait_for(lambda: work.tidied > 3)
    assert work.swept == 0


def test_begins_nothing_while_it_may_not(begin):
    work, may = Script("a"), threading.Event()
    begin(work, may_begin=may.is_set)
    time.sleep(0.05)
    assert (work.ran, work.tidied) == ([], 0)
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
    loop = BatchLoop(Script(), may_begin=lambda: True, report=lambda fault: None)
    loop.stop()
    assert loop.join(0)
