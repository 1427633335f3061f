"""On encoders that look at one place alone, the map must show that place, and nothing else."""

from collections.abc import Sequence

import numpy as np
import pytest

from models.explain.occlusion import occlusion
from models.image import Pixels

EYES = (slice(40, 56), slice(24, 88))


@pytest.fixture
def crop() -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)


def looks_at(place: tuple[slice, slice]):
    """An encoder whose embedding is the texture of one place: unit vectors of its 64 columns' means."""

    def encode(crops: Sequence[Pixels]) -> np.ndarray:
        rows = [crop[place].astype(np.float64).mean((0, 2)) for crop in crops]
        rows = [row - row.mean() + 1e-3 * np.arange(len(row)) for row in rows]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)

    return encode


def test_only_what_the_encoder_looks_at_is_hot(crop: Pixels) -> None:
    encode = looks_at(EYES)
    found = occlusion(crop, encode([crop])[0], encode, patch_px=8, stride_px=4)
    assert found.similarity == pytest.approx(1.0, abs=1e-6)
    assert found.heat[40:56, 24:88].min() > 0
    # A patch of 8 pixels that touches the place reaches at most 7 beyond it.
    outside = np.ones((112, 112), bool)
    outside[33:63, 17:95] = False
    assert np.abs(found.heat[outside]).max() == pytest.approx(0, abs=1e-6)


def test_an_encoder_that_looks_nowhere_gives_a_cold_map(crop: Pixels) -> None:
    def blind(crops: Sequence[Pixels]) -> np.ndarray:
        return np.tile(np.array([[0.6, 0.8]], np.float32), (len(crops), 1))

    found = occlusion(crop, np.array([0.8, 0.6], np.float32), blind)
    assert found.similarity == pytest.approx(0.96)
    assert np.abs(found.heat).max() == 0


def test_what_speaks_against_the_match_is_below_zero(crop: Pixels) -> None:
    def brightness_left(crops: Sequence[Pixels]) -> np.ndarray:
        angles = [c[:, :56].astype(np.float64).mean() / 255 for c in crops]
        return np.array([[np.cos(a), np.sin(a)] for a in angles], np.float32)

    bright = crop.copy()
    bright[:, :56] = 255
    bright[:, 56:] = 0
    # Compared with a dark face: covering the bright half with the grey mean brings both closer.
    found = occlusion(bright, np.array([1, 0], np.float32), brightness_left, patch_px=16, stride_px=16)
    assert found.heat[:, :48].max() < 0
    assert found.heat[:, 64:].min() == found.heat[:, 64:].max() == 0


@pytest.mark.parametrize(("patch", "stride"), [(24, 8), (30, 7), (112, 1)])
def test_heat_is_that_of_a_slow_loop(crop: Pixels, patch: int, stride: int) -> None:
    encode = looks_at(EYES)
    other = encode([np.roll(crop, 5, axis=1)])[0]
    found = occlusion(crop, other, encode, patch_px=patch, stride_px=stride)
    starts = sorted({*range(0, 112 - patch, stride), 112 - patch})
    before = float(encode([crop])[0].astype(np.float64) @ other.astype(np.float64))
    losses = {}
    for y in starts:
        for x in starts:
            covered = crop.copy()
            covered[y : y + patch, x : x + patch] = np.round(crop.reshape(-1, 3).mean(0))
            losses[y, x] = before - float(encode([covered])[0].astype(np.float64) @ other.astype(np.float64))
    for y, x in [(0, 0), (50, 50), (111, 111), (45, 30), (111, 0)]:
        over = [v for (a, b), v in losses.items() if a <= y < a + patch and b <= x < b + patch]
        assert found.heat[y, x] == pytest.approx(np.mean(over), abs=1e-6)


@pytest.mark.parametrize(("patch", "stride"), [(113, 8), (0, 1), (8, 9), (8, 0)])
def test_a_patch_that_would_leave_pixels_out_is_refused(crop: Pixels, patch: int, stride: int) -> None:
    with pytest.raises(ValueError, match="does not cover"):
        occlusion(
            crop, np.ones(2, np.float32), lambda crops: np.ones((len(crops), 2)), patch_px=patch, stride_px=stride
        )
