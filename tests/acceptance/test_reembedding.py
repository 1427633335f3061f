"""Another model, on the real service: the old one serves until all is re-embedded, killed in the middle, cut over."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

PEOPLE = 64
LONGEST_S = 120.0
KEEPING = {"keep_crops": "true", "precision": "float32", "flip_averaging": "true"}
# The same weights without the mirrored face: other embeddings, and so another model.
OTHER = {**KEEPING, "flip_averaging": "false"}


def use(server, settings):
    """The next start has these settings."""
    server._settings = settings


def enrol(server, looks, numbers, **more):
    for number in numbers:
        fields = {"name": f"Person {number}", "person_id": f"p{number}", "on_duplicate": "allow", **more}
        answer = server.post_picture("/enroll", looks(number), **fields)
        assert answer.status_code == 201, answer.text


def info(server):
    return server.call("GET", "/info").json()


def until(server, job, reached):
    deadline = time.monotonic() + LONGEST_S
    while not reached(job):
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
        job = server.call("GET", job["urls"]["self"]).json()
    return job


def ended(job):
    return job["status"] in ("succeeded", "failed", "cancelled")


def models(server, numbers):
    items = [server.call("GET", f"/persons/p{number}/templates").json()["items"] for number in numbers]
    return {template["model_id"] for templates in items for template in templates}


def run(server, *words, settings=OTHER):
    own = {name: value for name, value in os.environ.items() if not name.startswith("ONELOOK_")}
    own |= {f"ONELOOK_{name.upper()}": value for name, value in {"home": str(server.home), **settings}.items()}
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=LONGEST_S, cwd=Path.cwd())


def test_a_home_of_another_model_is_served_by_its_own_and_the_command_lists_who_has_no_crop(make_server, samples):
    server = make_server(precision="float32")
    server.start()
    photo = (samples / "hopper.jpg").read_bytes()
    model_id = server.post_picture("/enroll", photo, name="Grace Hopper").json()["template"]["model_id"]
    server.stop()
    use(server, {"precision": "float32", "flip_averaging": "false"})
    server.start()
    told = info(server)
    assert told["model_id"] == model_id != told["wanted_model_id"]
    assert told["flip_averaging"] is True
    assert "is served until re-embedding" in told["model_note"]
    found = server.post_picture("/identify", photo).json()
    assert (found["decision"], found["operating_point"]["model_id"]) == ("recognized", model_id)
    assert f"{model_id} is served until" in server.log.read_text(errors="replace")
    refused = server.call("POST", "/reembeddings", json={}).json()
    assert (refused["code"], refused["persons"]) == ("leaves_behind", 1)
    listed = run(server, "reembed")
    assert (listed.returncode, "Grace Hopper" in listed.stdout) == (1, True), listed.stderr
    assert info(server)["model_id"] == model_id


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_cuts_over_once(make_server, looks):
    server = make_server(**KEEPING)
    server.start()
    enrol(server, looks, range(PEOPLE))
    old = info(server)["model_id"]
    server.stop()
    use(server, OTHER)
    server.start()
    new = info(server)["wanted_model_id"]
    job = server.call("POST", "/reembeddings", json={}).json()
    job = until(server, job, lambda one: one["progress"]["step"] > 0 or ended(one))
    assert not ended(job), "it ended before the kill"
    server.kill()
    # Nothing of it is searched, by whichever settings the service comes back.
    for settings in (KEEPING, OTHER):
        use(server, settings)
        server.start()
        assert info(server)["model_id"] == old
        if settings is KEEPING:
            server.kill()
    # Who is enrolled and erased meanwhile is not lost, and is gone.
    enrol(server, looks, [PEOPLE])
    assert server.call("DELETE", "/persons/p1").json()["removed"]["crops"] == 1
    job = until(server, job, ended)
    assert (job["status"], job["templates"], job["persons_left_behind"]) == ("succeeded", PEOPLE, 0)
    assert info(server)["model_id"] == new
    assert models(server, [0, 2, PEOPLE - 1, PEOPLE]) == {new}
    found = server.post_picture("/identify", looks(PEOPLE), top_k=1).json()
    assert (found["decision"], found["operating_point"]["model_id"]) == ("recognized", new)
    assert len(server.call("GET", "/audit?action=model.changed").json()["items"]) == 1
    # A later start with the old settings does not switch back on its own.
    server.stop()
    use(server, KEEPING)
    server.start()
    assert info(server)["model_id"] == new


@pytest.mark.slow
def test_every_process_answers_by_the_new_model_from_the_next_request_on_and_none_is_wrong(make_server, looks):
    server = make_server(**KEEPING)
    server.start()
    enrol(server, looks, range(4))
    server.stop()
    use(server, {**OTHER, "workers": "2"})
    server.start()
    enrol(server, looks, range(4, 40))
    old, new = info(server)["model_id"], info(server)["wanted_model_id"]
    answers, stop = [], threading.Event()
    headers = {"Authorization": f"Bearer {server.admin_key}", "Content-Type": "image/jpeg"}
    photos = [looks(number) for number in range(4)]

    def ask():
        number = 0
        while not stop.is_set():
            number = (number + 1) % 4
            with httpx.Client(timeout=60) as client:
                answer = client.post(f"{server.url}/identify", content=photos[number], headers=headers)
            answers.append((answer.status_code, answer.json()))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    done = run(server, "reembed")
    assert done.returncode == 0, done.stderr
    assert "40 templates, 0 left behind" in done.stdout
    after = len(answers) + len(askers)
    deadline = time.monotonic() + LONGEST_S
    while len(answers) < after + 20:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop.set()
    for asker in askers:
        asker.join()
    assert {status for status, _ in answers} == {200}
    assert {body["decision"] for _, body in answers} == {"recognized"}
    assert {body["operating_point"]["model_id"] for _, body in answers} == {old, new}
    assert {body["operating_point"]["model_id"] for _, body in answers[after:]} == {new}
    told = [json.loads(line) for line in server.log.read_text(errors="replace").splitlines() if line.startswith("{")]
    assert len([one for one in told if one["event"] == f"{new} is served from now on"]) >= 1
