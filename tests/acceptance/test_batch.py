"""Bulk enrolment over HTTP, on the real service: killed, cut off, sent again, and too large for its memory."""

import io
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PHOTOS = 40
ZIP = {"Content-Type": "application/zip"}
LONGEST_S = 90.0
MIB = 1024 * 1024


def zipped(photos) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for path, content in photos:
            file.writestr(zipfile.ZipInfo(path), content)
    return out.getvalue()


@pytest.fixture
def content(looks) -> bytes:
    """A zip of people with one photo each, and two photos that are none."""
    photos = [(f"Person_{number:02}/1.jpg", looks(number)) for number in range(PHOTOS)]
    return zipped([*photos, ("Nobody/1.jpg", b"no picture"), ("stray.jpg", b"no picture")])


def send(server, content, **query):
    answer = server.call(
        "POST", "/enroll/batch", content=content, headers=ZIP, params={"on_duplicate": "allow", **query}
    )
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def until(server, batch, reached):
    """The batch once `reached(batch)`."""
    deadline = time.monotonic() + LONGEST_S
    while not reached(batch):
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
        batch = server.call("GET", batch["urls"]["self"]).json()
    return batch


def ended(batch) -> bool:
    return batch["status"] in ("succeeded", "failed", "cancelled")


def people(server) -> list[dict]:
    return server.call("GET", "/persons", params={"limit": 500}).json()["items"]


def assert_each_photo_once(server, batch, asked: int) -> None:
    """Persons, templates and items agree, and nobody is there twice."""
    items = server.call("GET", batch["urls"]["items"], params={"limit": 500}).json()["items"]
    assert len(items) == asked
    enrolled = [item for item in items if item["status"] == "enrolled"]
    found = people(server)
    assert sorted(person["id"] for person in found) == sorted(item["person_id"] for item in enrolled)
    assert len({person["external_id"] for person in found}) == len(found)
    assert server.call("GET", "/info").json()["galleries"][0]["templates"] == len(enrolled)
    assert {item["source"]: item["code"] for item in items if "Person" not in item["source"]} == {
        "Nobody/1.jpg": "unsupported_media",
        "stray.jpg": "misplaced",
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_in_the_middle_it_goes_on_by_itself_and_enrols_nobody_twice(make_server, content, workers):
    server = make_server(workers=workers)
    server.start()
    batch = send(server, content)
    before = until(server, batch, lambda one: one["progress"]["step"] >= PHOTOS // 4)
    assert not ended(before), "it ended before the kill"
    server.kill()
    server.start()
    batch = until(server, batch, ended)
    assert (batch["status"], batch["progress"]["step"]) == ("succeeded", PHOTOS + 2)
    assert_each_photo_once(server, batch, PHOTOS + 2)
    assert list((server.home / "batches").iterdir()) == []
    assert send(server, content)["id"] == batch["id"]


@pytest.mark.slow
def test_an_upload_that_is_cut_off_begins_nothing_and_sent_again_it_is_done(server, content):
    url = urlsplit(server.url)
    head = (
        "POST /enroll/batch?on_duplicate=allow HTTP/1.1\r\nHost: onelook\r\nContent-Type: application/zip\r\n"
        f"Authorization: Bearer {server.admin_key}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with closing(socket.create_connection((url.hostname, url.port), timeout=10)) as cut:
        cut.sendall(head.encode() + content[: len(content) // 2])
        deadline = time.monotonic() + 10
        while not list((server.home / "batches").glob("*")) and time.monotonic() < deadline:
            time.sleep(0.01)
    while list((server.home / "batches").glob("*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert people(server) == []
    batch = until(server, send(server, content), ended)
    assert_each_photo_once(server, batch, PHOTOS + 2)


@pytest.mark.slow
def test_a_large_batch_is_never_in_memory(server, looks):
    assert until(server, send(server, zipped([("Ada/1.jpg", looks(0))])), ended)["items"]["enrolled"] == 1
    before = _resident_bytes(server.pid)
    # Each is refused by its first bytes: what counts is how they are carried.
    large = zipped((f"Person_{number}/1.jpg", bytes(6 * MIB)) for number in range(40))
    batch = until(server, send(server, large), ended)
    assert (batch["items"]["refused"], len(large) > 200 * MIB) == (40, True)
    assert _resident_bytes(server.pid) < before + 64 * MIB


@pytest.mark.slow
def test_the_command_sends_a_folder_to_a_running_service(server, looks, tmp_path):
    folder = tmp_path / "people"
    for number in (0, 1):
        (folder / f"Person_{number}").mkdir(parents=True)
        (folder / f"Person_{number}" / "1.jpg").write_bytes(looks(number))
    (folder / "Person_0" / "2.jpg").write_bytes(b"no picture")
    (folder / "stray.jpg").write_bytes(b"x")
    command = [sys.executable, "-m", "app.cli", "enroll", str(folder), "--server", server.url]
    command += ["--key", f"@{server.home / 'admin.key'}"]
    for before in (False, True):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
        assert ran.returncode == 1, ran.stderr
        # Sent again it is the same batch, whose counts are told: what was refused was tried again.
        assert "2 persons enrolled, 0 templates added, 0 photos done before, 2 refused" in ran.stdout, before
        assert "Person_0/2.jpg" in ran.stdout
        assert "stray.jpg" in ran.stdout
    assert len(people(server)) == 2


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system has no /proc")
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])
