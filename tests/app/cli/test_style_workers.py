import os
import sys
import threading
import time

import pytest

from app.cli.style_workers import StyleWorkers
from app.settings import Settings

# A process that is started as the real ones are, and does what its plan says: its number, a word for each start.
WORKER = """
import os, pathlib, signal, socket, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
here = pathlib.Path(__file__).parent
starts = here / f"starts-{given['--number']}"
with starts.open("a") as file:
    file.write(f"{os.getpid()}\\n")
plan = here / f"plan-{given['--number']}"
words = plan.read_text().split() if plan.exists() else []
count = len(starts.read_text().splitlines())
word = words[count - 1] if count <= len(words) else "wait"
if word == "fail":
    sys.exit(1)
if word == "deaf":
    signal.pause()
lifeline = socket.socket(fileno=int(given["--lifeline"]))
lifeline.recv(1)
(here / f"ended-{given['--number']}").touch()
"""


class Log:
    def __init__(self):
        self.told = []

    def info(self, event, **facts):
        self.told.append((event, facts))

    warning = error = info

    def all(self, event):
        return [facts for told, facts in self.told if told == event]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def make(tmp_path, log):
    made = []

    def workers(count, grace_s=5.0, **plans):
        (tmp_path / "worker.py").write_text(WORKER)
        for name, words in plans.items():
            (tmp_path / name.replace("_", "-")).write_text(words)
        settings = Settings(style_workers=count, shutdown_grace_s=grace_s, home=tmp_path / "home")
        command = (sys.executable, str(tmp_path / "worker.py"))
        made.append(StyleWorkers(settings, log, command=command, first_pause_s=0.01))
        return made[-1]

    yield workers
    for one in made:
        one.close()


@pytest.fixture
def starts(tmp_path):
    def read(number):
        path = tmp_path / f"starts-{number}"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_starts_as_many_as_the_settings_say_and_ends_them(make, starts, tmp_path):
    workers = make(2)
    assert starts(1) == []
    workers.start()
    workers.start()
    until(lambda: starts(1) and starts(2))
    workers.close()
    assert (tmp_path / "ended-1").exists()
    assert (tmp_path / "ended-2").exists()
    assert (len(starts(1)), len(starts(2))) == (1, 1)


def test_none_are_wanted_and_none_are_started(make, log):
    workers = make(0)
    workers.start()
    workers.close()
    assert log.told == []


def test_one_that_fails_or_is_killed_is_started_again(make, starts, log):
    workers = make(1, plan_1="fail wait wait")
    workers.start()
    until(lambda: len(starts(1)) == 2)
    os.kill(starts(1)[1], 9)
    until(lambda: len(starts(1)) == 3)
    workers.close()
    again = log.all("a style worker ended and is started again")
    assert [(one.get("status"), one.get("signal")) for one in again] == [(1, None), (None, "SIGKILL")]
    assert again[1]["pause_s"] > again[0]["pause_s"]


def test_the_end_does_not_wait_and_nothing_is_started_after_it(make, starts):
    workers = make(1)
    workers.end()
    workers.start()
    workers.close()
    assert starts(1) == []


def test_one_that_hears_nothing_is_killed_in_the_end(make, starts, monkeypatch):
    monkeypatch.setattr("app.cli.style_workers.CLOSING_S", 0.1)
    workers = make(1, grace_s=0.01, plan_1="deaf")
    workers.start()
    until(lambda: starts(1))
    ending = threading.Thread(target=workers.close)
    ending.start()
    ending.join(10)
    assert not ending.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(starts(1)[0], 0)
