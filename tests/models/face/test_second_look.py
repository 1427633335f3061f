from pathlib import Path

import numpy as np
import pytest

from models.face.detect import detect, load_detector
from models.face.second_look import look_again
from models.image import decode
from models.measure.conditions import under

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def detector():
    return load_detector()


def picture(name):
    return decode((SAMPLES / name).read_bytes(), max_bytes=10**8, max_pixels=10**8)


def harder(pixels, light, noise):
    chance = np.random.default_rng(0)
    return np.clip(pixels * light + chance.normal(0, noise, pixels.shape), 0, 255).astype(np.uint8)


def test_a_face_that_the_first_look_misses_is_found_where_it_is(detector):
    clean = picture("collins.jpg")
    face = detect(detector, clean)[0]
    # So little contrast that nothing is found at first.
    pale = (clean * 0.03 + 100).astype(np.uint8)
    assert detect(detector, pale) == []
    found = look_again(detector, pale)
    assert found
    assert np.abs(found[0].landmarks - face.landmarks).max() < 0.12 * face.width


def test_under_noise_too(detector):
    clean = picture("collins.jpg")
    face = detect(detector, clean)[0]
    for noise in range(20, 200, 10):
        noisy = harder(clean, 0.5, noise)
        if not detect(detector, noisy):
            break
    else:
        pytest.fail("no noise hides the face")
    found = look_again(detector, noisy)
    assert found
    assert np.abs(found[0].landmarks - face.landmarks).max() < 0.2 * face.width


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 40), (700, 500)])
def test_where_there_is_none_none_is_made_up(detector, size):
    chance = np.random.default_rng(1)
    for pixels in (np.zeros((*size, 3), np.uint8), chance.integers(0, 255, (*size, 3)).astype(np.uint8)):
        assert look_again(detector, pixels) == []


def test_a_large_picture_is_found_in_its_own_pixels(detector):
    clean = picture("obama-2009.jpg")
    assert max(clean.shape) > 320
    face = detect(detector, clean)[0]
    found = look_again(detector, clean)
    assert np.abs(found[0].landmarks - face.landmarks).max() < 0.12 * face.width


def test_the_condition_of_a_dark_corridor_is_read_through_the_chain(detector):
    """What the whole chain finds is never less than what the first look finds."""
    clean = picture("hopper.jpg")
    landmarks = detect(detector, clean)[0].landmarks
    for number in range(5):
        dark = under("dark", clean, landmarks, str(number))
        assert detect(detector, dark) or look_again(detector, dark)
