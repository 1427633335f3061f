from pathlib import Path

import numpy as np
import pytest

from models.face.detect import detect, load_detector
from models.image import decode
from models.measure.conditions import CONDITIONS, under

PHOTO = Path(__file__).parents[3] / "samples" / "collins.jpg"


@pytest.fixture(scope="module")
def scene():
    picture = decode(PHOTO.read_bytes(), max_bytes=10**8, max_pixels=10**8)
    return picture, detect(load_detector(), picture)[0].landmarks


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_changes_the_picture_and_leaves_its_own_alone(scene, condition):
    picture, landmarks = scene
    before = picture.copy()
    seen = under(condition, picture, landmarks, "a.jpg")
    assert seen.dtype == np.uint8
    assert seen.ndim == 3
    assert seen.shape != before.shape or (seen != before).any()
    assert (picture == before).all()


@pytest.mark.parametrize("condition", [name for name in CONDITIONS if name != "squeezed"])  # which has none
def test_chance_is_of_the_photo_and_nothing_else(scene, condition):
    once, again = (under(condition, *scene, "a.jpg") for _ in range(2))
    assert (once == again).all()
    others = [under(condition, *scene, f"{number}.jpg") for number in range(4)]
    assert any(other.shape != once.shape or (other != once).any() for other in others)


def test_a_mask_lies_below_the_eyes_and_sunglasses_over_them(scene):
    picture, landmarks = scene
    right, left, _, right_mouth, left_mouth = landmarks.round().astype(int)
    masked = np.abs(under("mask", *scene, "a").astype(int) - picture).max(-1) > 40
    shaded = np.abs(under("sunglasses", *scene, "a").astype(int) - picture).max(-1) > 40
    mouth = (right_mouth + left_mouth) // 2
    assert masked[mouth[1], mouth[0]]
    assert not masked[right[1] - 8, right[0]]
    assert not shaded[mouth[1], mouth[0]]
    assert shaded[left[1] - 20 : left[1] + 20, left[0] - 20 : left[0] + 20].mean() > 0.3


def test_the_dark_is_dark_and_the_far_is_small(scene):
    picture, landmarks = scene
    assert under("dark", *scene, "a").mean() < 0.6 * picture.mean()
    far = under("far", *scene, "a")
    eyes = np.linalg.norm(landmarks[1] - landmarks[0]) * far.shape[1] / picture.shape[1]
    assert 9 < eyes < 12
