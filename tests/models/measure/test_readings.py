import stat
from pathlib import Path

import numpy as np
import pytest

from models.measure.readings import FOUND, NO_FACE, REFUSED, PhotoReading, Readings, checksum


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def readings() -> Readings:
    vector = np.zeros(128, np.float32)
    vector[3] = 1
    readings = Readings("m-1")
    readings.put("a.jpg", PhotoReading(FOUND, checksum(b"a"), vector))
    readings.put("b.jpg", PhotoReading(NO_FACE, checksum(b"b")))
    readings.put("c.jpg", PhotoReading(REFUSED, checksum(b"c")))
    return readings


def test_what_is_saved_is_what_is_loaded(readings: Readings, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "m-1.npz"
    readings.save(file)
    loaded = Readings.load(file, "m-1")
    assert len(loaded) == 3
    assert loaded["a.jpg"].vector is not None
    assert (loaded["a.jpg"].vector == readings["a.jpg"].vector).all()
    assert loaded["b.jpg"] == readings["b.jpg"]
    assert loaded["c.jpg"].state == REFUSED


def test_nobody_else_may_read_the_file(readings: Readings, tmp_path: Path) -> None:
    readings.save(tmp_path / "m-1.npz")
    assert stat.S_IMODE((tmp_path / "m-1.npz").stat().st_mode) == 0o600
    assert [f.name for f in tmp_path.iterdir()] == ["m-1.npz"]


def test_only_what_is_new_or_changed_is_missing(readings: Readings, photos: Path) -> None:
    (photos / "d.jpg").write_bytes(b"d")
    (photos / "b.jpg").write_bytes(b"another picture")
    assert readings.missing(photos, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]) == ["b.jpg", "d.jpg"]


def test_a_photo_that_was_read_and_is_gone_is_an_error(readings: Readings, photos: Path) -> None:
    (photos / "a.jpg").unlink()
    with pytest.raises(FileNotFoundError):
        readings.missing(photos, ["a.jpg"])


def test_refused_and_faceless_photos_stay_in_the_sample(readings: Readings) -> None:
    paths = ["a.jpg", "b.jpg", "c.jpg"]
    sample = readings.sample(paths, ["x", "x", "y"])
    assert sample.found.tolist() == [True, False, False]
    assert sample.persons == 2
    assert (readings.count(paths, NO_FACE), readings.count(paths, REFUSED)) == (1, 1)


def test_readings_of_another_model_are_not_mixed_in(readings: Readings, tmp_path: Path) -> None:
    readings.save(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="another model"):
        Readings.load(tmp_path / "x.npz", "m-2")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"x\.npz cannot be read"):
        Readings.load(tmp_path / "x.npz", "m-1")


def test_without_a_file_nothing_was_read(tmp_path: Path) -> None:
    assert len(Readings.load(tmp_path / "none.npz", "m-1")) == 0


def test_shows_no_vector(readings: Readings) -> None:
    assert "vector" not in repr(readings["a.jpg"])
