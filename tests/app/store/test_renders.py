"""Renders from asking to removal on each store, and after a process that was killed."""

import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from app.actions.style.claim import ClaimStyle
from app.actions.style.run import RunStyle
from app.actions.style.submit import Submission, SubmitStyle
from app.actions.style.tidy import TidyStyles

KEPT = timedelta(days=1)
# Works on the next render, slowly, and says each step.
WORKER = """
import sys, threading, time
from datetime import timedelta
from pathlib import Path
from app.actions.style.claim import ClaimStyle
from app.actions.style.run import RunStyle
from app.store.files.style_files import FileStyleFiles
from app.store.unit_of_work import SqlStore
from app.store.vault.ring import MasterRing
from app.store.vault.vault import Vault
from tests.app.conftest import ScriptedRenderer

url, keys, folder = sys.argv[1:]
vault = Vault(keys, MasterRing([bytes(range(32))]), timeout_s=5)
vault.prepare()
store, files, renderer = SqlStore(url, vault), FileStyleFiles(Path(folder)), ScriptedRenderer()

def say(step):
    print(step, flush=True)
    time.sleep(0.3)

renderer.before_step = say
run = RunStyle(store, files, renderer, lambda error: ("code", "", {}), timedelta(days=1), print, lease_s=2.0)
run(ClaimStyle(store, files, lease_s=2.0)(), threading.Event())
"""


@pytest.fixture
def ask(store, style_files, renderer, identifiers):
    submit = SubmitStyle(store, style_files, renderer, identifiers, KEPT, 50)
    return lambda **options: submit(Submission(b"content", [b"style"], options), "k1").id


@pytest.fixture
def work(store, style_files, renderer):
    """Claims and makes renders until none waits; how many."""

    def on():
        told = lambda error: ("code", str(error), {})  # noqa: E731
        run = RunStyle(store, style_files, renderer, told, KEPT, print)
        count = 0
        while (job := ClaimStyle(store, style_files)()) is not None:
            run(job, threading.Event())
            count += 1
        return count

    return on


@pytest.fixture
def get(store):
    def read(job_id):
        with store.read() as uow:
            return uow.style_jobs.get(job_id), uow.style_jobs.events(job_id, after=0, limit=1000)

    return read


def test_is_made_and_told_of(ask, work, get, style_files, store):
    job_id = ask(steps=300)
    assert work() == 1
    job, events = get(job_id)
    assert (job.status, job.step, job.metrics["evaluations"]) == ("succeeded", 300, 600)
    assert [event.seq for event in events] == list(range(1, job.seq + 1))
    assert (events[0].type, events[-1].type) == ("status", "completed")
    assert len(style_files.get(job_id, job.output["name"])) == 64
    assert sorted(style_files.names(job_id)) == sorted(job.files)
    TidyStyles(store, style_files, KEPT, print)()
    assert style_files.held() == [job_id]


def test_many_workers_make_each_render_once(ask, work, get, renderer):
    ids = [ask(seed=seed) for seed in range(12)]
    counts, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: counts.append(work())))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert sum(counts) == len(renderer.states) == 12
    for job_id in ids:
        job, events = get(job_id)
        assert (job.status, job.token) == ("succeeded", 1)
        assert [event.seq for event in events] == list(range(1, job.seq + 1))


def test_another_ends_what_a_killed_process_had_begun(
    sql_store, url, tmp_path, style_files, renderer, identifiers, root
):
    submit = SubmitStyle(sql_store, style_files, renderer, identifiers, KEPT, 5)
    interrupted = submit(Submission(b"content", [b"style"], {"steps": 8}), "k1")
    keys = f"sqlite:///{tmp_path / 'keys' / 'people.db'}"
    given = [sys.executable, "-c", WORKER, url, keys, str(tmp_path / "style")]
    with subprocess.Popen(given, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip() == "6":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    claim = ClaimStyle(sql_store, style_files)
    until = time.monotonic() + 20
    while (job := claim()) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (job.id, job.attempt, job.token) == (interrupted.id, 2, 2)
    assert job.checkpoint["step"] == 4
    run = RunStyle(sql_store, style_files, renderer, lambda error: ("code", "", {}), KEPT, print)
    run(job, threading.Event())
    assert renderer.states[-1] is not None
    whole = submit(Submission(b"content", [b"style"], {"steps": 8}), "k1")
    run(claim(), threading.Event())
    with sql_store.read() as uow:
        made = [uow.style_jobs.get(one.id) for one in (interrupted, whole)]
    assert made[0].output["sha256"] == made[1].output["sha256"]
    assert [one.token for one in made] == [2, 1]
