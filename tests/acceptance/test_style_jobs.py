"""Style jobs with real processes: who is killed loses none of them, and whoever watches misses nothing."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.style_storm.storm import storm
from tests.acceptance.style_storm.watcher import Watcher

LONGEST_S = 200.0


@pytest.mark.slow
def test_every_render_ends_once_and_is_seen_in_full_whoever_is_killed(tmp_path):
    """The short form of `python -m tests.acceptance.style_storm`."""
    outcome = storm(tmp_path, jobs=4, steps=150, step_s=0.02, strikes=3, seed=1, timeout_s=LONGEST_S)
    assert outcome.wrong == []
    assert outcome.statuses == {"succeeded": 4}
    # It was a storm: each kind of kill happened, amid a render, and streams were torn.
    assert outcome.kills == {"worker": 1, "api": 1, "both": 1}
    assert outcome.interrupted >= 1
    assert outcome.torn >= 2


@pytest.mark.slow
def test_the_service_renders_beside_its_doors_and_takes_its_worker_with_it(make_server, samples):
    """The real engine: a worker that is told to stop gives its render back, and the next one goes on with it."""
    server = make_server(precision="float32", inference_lanes="1")
    server.start()
    files = {"content": (samples / "collins.jpg").read_bytes(), "style": (samples / "hopper.jpg").read_bytes()}
    options = {"options": json.dumps({"size": 64, "steps": 120})}
    job = server.call("POST", "/style-jobs", files=files, data=options).json()
    assert job["input"]["options"]["size"] == 64
    watcher = Watcher(f"{server.url}{job['urls']['events']}", {"Authorization": f"Bearer {server.admin_key}"})
    watcher.until(lambda it: it.step >= 5, LONGEST_S)
    (first,) = workers(server)
    assert os.getpriority(os.PRIO_PROCESS, first) > os.getpriority(os.PRIO_PROCESS, server.pid)
    os.kill(first, signal.SIGTERM)
    watcher.join(LONGEST_S)
    statuses = [data["status"] for _, name, data in watcher.events if name == "status"]
    assert statuses == ["queued", "running", "queued", "running"]
    assert (watcher.events[-1][2]["status"], watcher.events[-1][2]["attempt"]) == ("succeeded", 1)
    assert watcher.faults == []
    # It went on from where it was: no step was told twice.
    told = [data["step"] for _, name, data in watcher.events if name == "progress"]
    assert told == sorted(told)
    result = server.call("GET", job["urls"]["result"])
    assert result.content.startswith(b"\x89PNG")
    _, second = workers(server)
    assert is_running(second)
    server.kill()
    deadline = time.monotonic() + 15
    while is_running(second):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers(server):
    """The ids of the workers that were started, in order."""
    return [int(pid) for pid in re.findall(r'"pid": (\d+), "event": "style worker ready"', server.log.read_text())]


def is_running(pid):
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
