import json
import zlib
from contextlib import contextmanager

import numpy as np
import pytest

from app.cli import calibrate as module
from app.cli.home import open_rows
from app.domain.face import Face, Quality, Reading
from app.errors import ImageTooLarge
from app.inference.calibration import OWN_FILE, load
from app.settings import Settings
from models.weights import model_id

QUALITY = Quality(1.0, (), 100.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.0)


class ReaderOfNames:
    """A picture is the text `name number`: pictures of one name look alike; `blind` shows no face."""

    model_id = "names-1"

    def read(self, image, *, encode="main", thorough=False):
        if image.startswith(b"large"):
            raise ImageTooLarge
        if image.startswith(b"blind"):
            return Reading(10, 10, ())
        vector = np.random.default_rng(zlib.crc32(image.split()[0])).normal(size=128)
        vector += 0.6 * np.random.default_rng(zlib.crc32(image)).normal(size=128)
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        return Reading(10, 10, (Face((0, 0, 1, 1), (), 1.0, QUALITY, unit),))


@contextmanager
def open_reader():
    yield ReaderOfNames()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A function that makes a folder of so many people with two photos each."""
    monkeypatch.setattr(module, "serving_reader", lambda *_, **__: open_reader)

    def make(people):
        folder = tmp_path / "photos"
        for person in range(people):
            (folder / f"p{person:03d}").mkdir(parents=True)
            for number in range(2):
                (folder / f"p{person:03d}" / f"{number}.jpg").write_bytes(f"p{person:03d} {number}".encode())
        return folder

    return make


def test_what_it_writes_is_served_from_the_next_start_on(onelook, home, photos):
    result = onelook("calibrate", photos(90), "--name", "north door")
    assert result.exit_code == 0, result.stderr
    assert "fpir-0.1-of-30" in result.stdout
    assert "isotonic" in result.stdout
    assert "platt" in result.stdout
    assert f"written to {home / OWN_FILE}" in result.stdout.replace("\n", "")
    points = load("onelook", model_id("onelook", flip=True), home)
    assert (points.own, points.sample) == (True, "north door")
    assert points.likelihood is not None
    assert json.loads((home / OWN_FILE).read_text())[model_id("onelook", flip=True)]["sample"]["people"] == 90


def test_it_is_noted_in_the_audit_trail(onelook, home, photos):
    onelook("calibrate", photos(90))
    with open_rows(Settings(home=home)) as store, store.read() as uow:
        lines = [line for line in uow.audit.lines(0, 100) if line.action == "calibration.made"]
    assert [(line.actor, line.facts["people"]) for line in lines] == [("local", 90)]


def test_no_photo_and_no_embedding_is_kept(onelook, home, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    folder = photos(90)
    onelook("calibrate", folder)
    made = {p for p in tmp_path.rglob("*") if p not in before and folder not in (p, *p.parents) and p.is_file()}
    assert not [path for path in made if path.suffix == ".npz"]
    assert all(home in path.parents for path in made)


def test_says_where_it_is_looser_than_what_is_shipped(onelook, home, photos):
    result = onelook("calibrate", photos(90))
    assert "looser than shipped: a gallery of 10 at FPIR 0.1, where the shipped point is 0.01" in result.stdout
    assert "looser than shipped: a gallery of 1000 has outgrown your photos" in result.stdout


def test_photos_without_a_face_are_told_and_missed(onelook, home, photos):
    folder = photos(90)
    for person in range(40):
        (folder / f"p{person:03d}" / "1.jpg").write_bytes(b"blind" if person else b"large")
    result = onelook("calibrate", folder)
    assert "39 photos show no face and 1 were refused: they count as missed" in result.stdout
    held = json.loads((home / OWN_FILE).read_text())[model_id("onelook", flip=True)]
    assert held["sample"]["photos_without_face"] == 40
    assert held["verification"][0]["miss"] >= 40 / 90 - 1e-6


def test_a_dry_run_writes_nothing(onelook, home, photos):
    result = onelook("calibrate", photos(90), "--dry-run")
    assert result.exit_code == 0
    assert "fpir-0.1-of-30" in result.stdout
    assert "written" not in result.stdout
    assert not home.exists()


def test_too_few_people_are_refused_before_a_photo_is_read(onelook, home, photos, monkeypatch):
    monkeypatch.setattr(module, "read_photos", lambda *_, **__: pytest.fail("a photo was read"))
    result = onelook("calibrate", photos(79))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "79 people are too few to calibrate on: 80 are needed" in result.stderr
    assert not home.exists()


def test_an_empty_folder_is_a_mistake_of_usage(onelook, tmp_path):
    result = onelook("calibrate", tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_without_matplotlib_a_plot_is_refused_before_a_photo_is_read(onelook, home, photos, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    monkeypatch.setattr(module, "read_photos", lambda *_, **__: pytest.fail("a photo was read"))
    result = onelook("calibrate", photos(90), "--draw", tmp_path / "r.png")
    assert result.exit_code == 1
    assert "pip install 'onelook[bench]'" in result.stderr


def test_draws_the_reliability(onelook, home, photos, tmp_path):
    pytest.importorskip("matplotlib")
    result = onelook("calibrate", photos(90), "--draw", tmp_path / "r.png", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
