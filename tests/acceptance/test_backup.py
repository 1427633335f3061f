"""Back up while serving, erase, lose the database, restore: who was erased stays erased, the others are there."""

import os
import subprocess
import sys

import pytest


def onelook(server, *words: str) -> str:
    """Runs the command on the server's home."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ONELOOK_")}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=own | {"ONELOOK_HOME": str(server.home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def recognized(server, image: bytes) -> str | None:
    person = server.post_picture("/identify", image).json()["person"]
    return person and person["id"]


@pytest.mark.slow
def test_back_up_erase_restore_identify_nothing(server, looks, tmp_path):
    for who in range(2):
        answer = server.post_picture("/enroll", looks(who), name=f"Person {who}", person_id=f"person-{who}")
        assert answer.status_code == 201, answer.text
    said = onelook(server, "backup", str(tmp_path / "backup"))
    assert "2 persons, 2 templates" in said
    assert server.call("DELETE", "/persons/person-0").json()["proof"]["search_missed"] is True
    server.stop()
    for path in (*server.home.glob("onelook.db*"), *server.home.glob("snapshots/*")):
        path.unlink()

    said = onelook(server, "restore", str(tmp_path / "backup"))
    assert "1 persons and 1 templates" in said
    assert "1 persons in it were erased since" in said
    server.start()
    assert recognized(server, looks(0)) is None
    assert all(
        candidate["person"]["id"] == "person-1"
        for candidate in server.post_picture("/identify", looks(0), top_k=20).json()["candidates"]
    )
    assert recognized(server, looks(1)) == "person-1"
    assert server.call("GET", "/persons/person-0").status_code == 404
    again = server.post_picture("/enroll", looks(0), name="Person 0", person_id="person-0")
    assert again.json()["code"] == "person_exists"
    assert server.call("GET", "/audit/verify").json()["ok"] is True
    (restored,) = server.call("GET", "/audit?action=backup.restored").json()["items"]
    assert (restored["actor"], restored["facts"]["erased"]) == ("local", 1)
