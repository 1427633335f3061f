import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from app.cli import supervisor
from app.cli.listening import bound_sockets
from app.cli.plainly import REFUSED, UNUSABLE
from app.cli.supervisor import Supervisor
from app.settings import Settings

# A process that is started as the real ones are, and does what its plan says: its number, a line for each start.
WORKER = """
import json, os, pathlib, signal, socket, sys, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
number, here = given["--number"], pathlib.Path(__file__).parent
starts = here / f"starts-{number}"
with starts.open("a") as file:
    file.write(json.dumps({**given, "precision": os.environ.get("ONELOOK_PRECISION"), "pid": os.getpid()}) + "\\n")
count = len(starts.read_text().splitlines())
plan = here / f"plan-{number}"
steps = plan.read_text().splitlines() if plan.exists() else []
for step in (steps[count - 1] if count <= len(steps) else "serve wait").split():
    if step == "serve":
        lifeline = socket.socket(fileno=int(given["--lifeline"]))
        for one in given["--sockets"].split(","):
            socket.socket(fileno=int(one)).listen()
        gauge = pathlib.Path(given["--folder"], f"gauge_livesum_{number}.db")
        gauge.write_bytes(b"")
        def leave(status):
            # Or another signal would end it amid the interpreter's own end.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            sys.exit(status)
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, lambda *_: leave(0))
        signal.signal(signal.SIGINT, lambda *_: leave(3))
        lifeline.sendall(json.dumps({"precision": "bfloat16", "why": f"measured by {number}"}).encode() + b"\\n")
    elif step == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif step == "wait":
        time.sleep(60)
    elif step.startswith("-"):
        os.kill(os.getpid(), int(step[1:]))
    else:
        sys.exit(int(step))
"""


class Log:
    """Notes what is told, and raises SIGTERM in this process as soon as `enough` says so of all events."""

    def __init__(self):
        self.told = []
        self.enough = lambda events: False
        self.signal = signal.SIGTERM

    def _tell(self, event, **facts):
        self.told.append((event, facts))
        if self.enough([event for event, _ in self.told]):
            self.enough = lambda events: False
            os.kill(os.getpid(), self.signal)

    info = warning = error = _tell

    def all(self, event, fact):
        return [facts[fact] for told, facts in self.told if told == event]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def sockets():
    return bound_sockets("127.0.0.1", 0)


@pytest.fixture
def supervise(tmp_path, log, sockets):
    """Runs a supervisor of such processes with their plans to its end; its status."""

    def run(workers=2, **plans):
        (tmp_path / "worker.py").write_text(WORKER)
        for name, steps in plans.items():
            (tmp_path / name.replace("_", "-")).write_text("\n".join(steps))
        settings = Settings(workers=workers, shutdown_grace_s=0.1, home=tmp_path / "home")
        command = (sys.executable, str(tmp_path / "worker.py"))
        announce = lambda: log.info("announced")  # noqa: E731
        return Supervisor(settings, sockets, log, announce, command=command, first_pause_s=0.01).run()

    return run


@pytest.fixture
def starts(tmp_path):
    """How the process of that number was started, each time."""

    def read(number):
        path = tmp_path / f"starts-{number}"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


def serving(times):
    return lambda events: events.count("a worker serves") == times


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_first_starts_alone_and_what_it_chose_holds_for_all(supervise, log, starts):
    log.enough = serving(3)
    assert supervise(3) == 0
    assert [event for event, _ in log.told][:2] == ["a worker serves", "announced"]
    assert log.all("a worker serves", "worker")[0] == 1
    (first,), others = starts(1), starts(2) + starts(3)
    assert (first["precision"], first.get("--why")) == (None, None)
    assert [(one["precision"], one["--why"]) for one in others] == [("bfloat16", "measured by 1")] * 2
    assert len({one["--sockets"] for one in [first, *others]}) == 1


def test_sigterm_ends_all_and_leaves_nothing(supervise, log, starts, sockets):
    log.enough = serving(2)
    assert supervise(2) == 0
    assert log.all("a worker ended", "status") == [0, 0]
    assert all(is_gone(one["pid"]) for one in starts(1) + starts(2))
    assert not Path(starts(1)[0]["--folder"]).exists()
    assert all(one.fileno() == -1 for one in sockets)


def test_ctrl_c_is_passed_on_as_such(supervise, log):
    log.enough, log.signal = serving(2), signal.SIGINT
    assert supervise(2) == 0
    assert 3 in log.all("a worker ended", "status")


def test_the_signals_are_the_callers_again_afterwards(supervise, log):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    log.enough = serving(1)
    supervise(1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize(("step", "how"), [("serve 7", {"status": 7}), ("serve -9", {"signal": "SIGKILL"})])
def test_one_that_ends_is_started_again_and_how_it_ended_is_told(supervise, log, starts, step, how):
    log.enough = serving(3)
    assert supervise(2, plan_2=[step]) == 0
    (facts,) = [facts for event, facts in log.told if event == "a worker ended and is started again"]
    assert {"worker": 2, "pid": starts(2)[0]["pid"], "pause_s": 0.01, **how} == facts
    assert (len(starts(1)), len(starts(2))) == (1, 2)


def test_one_that_keeps_ending_is_started_again_ever_more_slowly(supervise, log, monkeypatch):
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_S", 0.05)
    log.enough = lambda events: events.count("a worker ended and is started again") == 5
    assert supervise(2, plan_2=["serve 1", *["1"] * 9]) == 0
    assert log.all("a worker ended and is started again", "pause_s") == [0.01, 0.02, 0.04, 0.05, 0.05]


def test_one_that_served_long_enough_is_started_again_soon(supervise, log, monkeypatch):
    monkeypatch.setattr(supervisor, "STEADY_AFTER_S", 0.0)
    log.enough = lambda events: events.count("a worker ended and is started again") == 3
    assert supervise(2, plan_2=["serve 1"] * 9) == 0
    assert log.all("a worker ended and is started again", "pause_s") == [0.01] * 3


def test_the_first_may_end_and_be_started_again_too(supervise, log, starts):
    log.enough = serving(4)
    assert supervise(2, plan_1=["serve -9", "serve 1"]) == 0
    assert len(starts(1)) == 3


@pytest.mark.parametrize(("step", "status"), [("2", UNUSABLE), ("1", REFUSED), ("-9", REFUSED), ("0", REFUSED)])
def test_a_first_that_cannot_start_ends_it_and_no_other_is_tried(supervise, log, starts, step, status):
    assert supervise(3, plan_1=[step]) == status
    assert (len(starts(1)), starts(2), starts(3)) == (1, [], [])
    assert log.all("a worker cannot start", "worker") == [1]


def test_another_that_is_refused_at_its_first_start_ends_all(supervise, log, starts):
    assert supervise(2, plan_2=["2"]) == UNUSABLE
    assert log.all("a worker ended", "worker") == [1]
    assert is_gone(starts(1)[0]["pid"])


def test_one_that_hears_no_signal_is_killed_in_the_end(supervise, log, starts, monkeypatch):
    monkeypatch.setattr(supervisor, "CLOSING_S", 0.2)
    log.enough = serving(2)
    began = time.monotonic()
    assert supervise(2, plan_2=["deaf serve wait"]) == REFUSED
    assert time.monotonic() - began < 20
    assert is_gone(starts(2)[0]["pid"])


def test_what_a_dead_one_held_is_counted_no_more(supervise, log, starts, monkeypatch):
    gauges = []
    tell = log._tell

    def look(event, **facts):
        if event == "a worker ended and is started again":
            gauges.append(sorted(path.name for path in Path(starts(1)[0]["--folder"]).glob("*.db")))
        tell(event, **facts)

    log.info = log.warning = log.error = look
    log.enough = serving(3)
    assert supervise(2, plan_2=["serve 1"]) == 0
    assert gauges == [["gauge_livesum_1.db"]]
