from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from rich.console import Console

from app.cli import photos
from app.cli.photos import read_photo, read_photos
from app.domain.face import Face, Quality, Reading
from app.errors import Busy, UnreadableImage
from app.ports import Wanted
from models.measure.readings import FOUND, NO_FACE, REFUSED, Readings, checksum

QUALITY = Quality(1.0, (), 100.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.0)


class ReaderOfLetters:
    """A picture is one letter; each letter is a face of its own, `-` no face, `!` a damaged file, `?` a busy reader."""

    model_id = "letters-1"

    def __init__(self) -> None:
        self.read_bytes: list[bytes] = []
        self.opened = 0
        self._lock = Lock()

    def read(self, image: bytes, *, encode: Wanted = "main", thorough: bool = False) -> Reading:
        with self._lock:
            self.read_bytes.append(image)
        if image == b"!":
            raise UnreadableImage
        if image == b"?":
            raise Busy
        if image == b"-":
            return Reading(10, 10, ())
        vector = np.zeros(128, np.float32)
        vector[image[0]] = 1
        return Reading(10, 10, (Face((0, 0, 1, 1), (), 1.0, QUALITY, vector), Face((0, 0, 1, 1), (), 1.0, QUALITY)))

    @contextmanager
    def open(self) -> Iterator["ReaderOfLetters"]:
        self.opened += 1
        yield self


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in {"a": b"A", "b": b"-", "c": b"!", "d": b"D"}.items():
        (folder / name).write_bytes(content)
    return folder


def read_all(folder: Path, reader: ReaderOfLetters, paths: str = "abcd", *, fresh: bool = False) -> Readings:
    cache, console = folder.parent / "cache.npz", Console(quiet=True)
    return read_photos(folder, list(paths), cache, reader.model_id, reader.open, console, fresh=fresh)


def test_every_photo_has_a_reading_also_the_refused_one(folder: Path) -> None:
    readings = read_all(folder, ReaderOfLetters())
    assert [readings[p].state for p in "abcd"] == [FOUND, NO_FACE, REFUSED, FOUND]
    assert readings["d"].vector is not None
    assert int(readings["d"].vector.argmax()) == ord("D")


def test_what_was_read_is_not_read_again(folder: Path) -> None:
    read_all(folder, ReaderOfLetters(), "ab")
    reader = ReaderOfLetters()
    read_all(folder, reader)
    assert sorted(reader.read_bytes) == [b"!", b"D"]


def test_no_network_is_loaded_when_nothing_is_missing(folder: Path) -> None:
    read_all(folder, ReaderOfLetters())
    reader = ReaderOfLetters()
    assert len(read_all(folder, reader)) == 4
    assert reader.opened == 0


def test_a_changed_photo_is_read_again(folder: Path) -> None:
    read_all(folder, ReaderOfLetters())
    (folder / "a").write_bytes(b"Z")
    reader = ReaderOfLetters()
    readings = read_all(folder, reader)
    assert reader.read_bytes == [b"Z"]
    assert readings["a"].checksum == checksum(b"Z")


def test_fresh_reads_everything_again(folder: Path) -> None:
    read_all(folder, ReaderOfLetters())
    reader = ReaderOfLetters()
    read_all(folder, reader, fresh=True)
    assert len(reader.read_bytes) == 4


def test_a_stop_half_way_keeps_what_was_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "SAVE_EVERY", 2)
    (folder / "d").write_bytes(b"?")
    with pytest.raises(Busy):
        read_all(folder, ReaderOfLetters())
    assert len(Readings.load(folder.parent / "cache.npz", "letters-1")) == 2


def test_only_the_main_face_counts() -> None:
    reading = read_photo(ReaderOfLetters(), b"A")
    assert reading.vector is not None
    assert int(reading.vector.argmax()) == ord("A")
