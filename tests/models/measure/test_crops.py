from pathlib import Path

import numpy as np
import pytest

from models.face import align
from models.measure import crops as module
from models.measure.crops import CropReading, Crops
from models.measure.readings import FOUND, NO_FACE, PhotoReading, Readings


def crop(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (144, 144, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    crops = Crops(tmp_path / "deep" / "crops")
    crops.put("a/1", CropReading(FOUND, 11, 0.5, crop(1)))
    crops.put("a/2", CropReading(NO_FACE, 12))
    crops.put("b/1", CropReading(FOUND, 13, 0.75, crop(3)))
    crops.save()
    return tmp_path / "deep" / "crops"


def test_a_crop_is_as_large_as_the_encoder_wants_it() -> None:
    assert module.CROP_PX == align.CROP_PX


def test_what_was_kept_comes_back_byte_for_byte(folder: Path) -> None:
    crops = Crops(folder)
    ((paths, pixels),) = crops.batches(["a/1", "a/2", "b/1"], 8)
    assert paths == ["a/1", "b/1"]
    assert np.array_equal(pixels[0], crop(1))
    assert np.array_equal(pixels[1], crop(3))
    assert crops.quality(["a/1", "a/2", "b/1"]).tolist() == [0.5, 0.0, 0.75]
    assert [len(batch) for batch, _ in crops.batches(["a/1", "b/1"], 1)] == [1, 1]


def test_only_its_owner_may_read_it(folder: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_changed_photo_is_missing_again(folder: Path) -> None:
    assert Crops(folder).missing({"a/1": 11, "a/2": 99, "c/1": 1}) == ["a/2", "c/1"]


def test_a_run_that_ended_before_its_index_loses_only_what_was_new(folder: Path) -> None:
    with (folder / "crops.bin").open("ab") as out:
        out.write(b"\x00" * module.BYTES + b"half a crop")
    crops = Crops(folder)
    crops.put("c/1", CropReading(FOUND, 14, 1.0, crop(4)))
    crops.save()
    ((_, pixels),) = Crops(folder).batches(["b/1", "c/1"], 8)
    assert np.array_equal(pixels[0], crop(3))
    assert np.array_equal(pixels[1], crop(4))


def test_a_photo_read_anew_shows_its_new_crop(folder: Path) -> None:
    crops = Crops(folder)
    crops.put("a/1", CropReading(FOUND, 21, 0.1, crop(9)))
    crops.save()
    ((_, pixels),) = Crops(folder).batches(["a/1"], 8)
    assert np.array_equal(pixels[0], crop(9))


def test_an_encoder_has_not_read_what_changed_since(folder: Path) -> None:
    crops, readings = Crops(folder), Readings("m-1")
    readings.put("a/1", PhotoReading(FOUND, 11, np.zeros(128, np.float32)))
    readings.put("a/2", PhotoReading(NO_FACE, 99))
    assert crops.unread(readings, ["a/1", "a/2", "b/1"]) == ["a/2", "b/1"]


def test_a_damaged_index_and_lost_pixels_are_told(folder: Path) -> None:
    (folder / "crops.bin").write_bytes(b"short")
    with pytest.raises(ValueError, match="cut short"):
        list(Crops(folder).batches(["a/1"], 8))
    (folder / "index.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="delete its folder"):
        Crops(folder)
