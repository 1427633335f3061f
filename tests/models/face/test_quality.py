"""Quality: each reason comes from what it names, and from nothing else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from models.face.align import align
from models.face.detect import Face, detect, load_detector
from models.face.quality import BOUNDS, Quality, assess, head_pose
from models.image import decode

# A head of mean measures: landmarks in distances between the eyes, depth towards the viewer.
HEAD = np.array([(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.6325, 0.55), (-0.4, 1.15, 0.1), (0.4, 1.15, 0.1)])


def seen(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The head's landmarks in a picture, from far away: y downwards, the person's own left at the right."""
    a, b, c = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    tip = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return 60 * (HEAD @ (tip @ turn @ tilt).T)[:, :2] + 100


@pytest.mark.parametrize("yaw", [-40, -20, 0, 20, 40])
def test_yaw_is_that_of_the_turned_head(yaw: float) -> None:
    assert head_pose(seen(yaw, 0, 0))[0] == pytest.approx(yaw, abs=6)


@pytest.mark.parametrize("pitch", [-25, -10, 0, 10, 25])
def test_pitch_is_that_of_the_tilted_head(pitch: float) -> None:
    assert head_pose(seen(0, pitch, 0))[1] == pytest.approx(pitch, abs=8)


@pytest.mark.parametrize("roll", [-60, -15, 0, 15, 60])
def test_roll_is_that_of_the_tipped_head_and_leaves_yaw_and_pitch_alone(roll: float) -> None:
    yaw, pitch, measured = head_pose(seen(0, 0, roll))
    assert measured == pytest.approx(roll, abs=1e-6)
    assert abs(yaw) < 1
    assert abs(pitch) < 1


def test_landmarks_in_one_point_give_finite_angles() -> None:
    assert np.isfinite(head_pose(np.zeros((5, 2)))).all()


@pytest.fixture(scope="module")
def photo(samples: Path) -> np.ndarray:
    return decode(sorted(samples.glob("*.jpg"))[0].read_bytes())


@pytest.fixture(scope="module")
def face(photo: np.ndarray) -> Face:
    return detect(load_detector(), photo)[0]


def judged(photo: np.ndarray, face: Face) -> Quality:
    return assess(face, align(photo, face.landmarks), photo.shape[1], photo.shape[0])


def test_a_good_photo_has_no_reason_against_it(photo: np.ndarray, face: Face) -> None:
    quality = judged(photo, face)
    assert quality.score > 0.9
    assert quality.reasons == ()
    assert quality.size_px == pytest.approx(face.width)


def test_a_blurred_photo_is_called_blurred_and_nothing_else(photo: np.ndarray, face: Face) -> None:
    radius = face.width / 15
    blurred = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))
    quality = judged(blurred, face)
    assert quality.reasons == ("blurred",)
    assert quality.sharpness < 0.5 * judged(photo, face).sharpness


def test_sharpness_does_not_change_with_contrast_or_light(photo: np.ndarray, face: Face) -> None:
    dim = (photo * 0.4 + 20).astype(np.uint8)
    assert judged(dim, face).sharpness == pytest.approx(judged(photo, face).sharpness, rel=0.15)


@pytest.mark.parametrize(("factor", "offset", "reason"), [(0.1, 0, "too_dark"), (0.05, 242, "too_bright")])
def test_light_is_judged_by_the_mean_of_the_face(
    photo: np.ndarray, face: Face, factor: float, offset: float, reason: str
) -> None:
    assert reason in judged((photo * factor + offset).astype(np.uint8), face).reasons


def test_a_face_half_outside_the_picture_is_cut_off(photo: np.ndarray, face: Face) -> None:
    x0 = int((face.box[0] + face.box[2]) / 2)
    part = np.ascontiguousarray(photo[:, x0:])
    shift = np.array([x0, 0], np.float32)
    moved = Face(face.box - np.tile(shift, 2), face.landmarks - shift, face.score)
    quality = judged(part, moved)
    assert quality.cut_off == pytest.approx(0.5, abs=0.02)
    assert "cut_off" in quality.reasons


def test_a_small_face_is_called_too_small(photo: np.ndarray, face: Face) -> None:
    scale = 24 / face.width
    small = np.asarray(Image.fromarray(photo).resize((round(photo.shape[1] * scale), round(photo.shape[0] * scale))))
    moved = Face(face.box * np.float32(scale), face.landmarks * np.float32(scale), face.score)
    assert "too_small" in judged(small, moved).reasons


def test_reasons_come_worst_first_and_are_all_named(photo: np.ndarray, face: Face) -> None:
    dark = (photo * 0.02).astype(np.uint8)
    small = Face(face.box, face.landmarks, 0.6)
    quality = judged(dark, small)
    assert quality.reasons[0] == "too_dark"
    assert set(quality.reasons) <= set(BOUNDS)
    assert quality.score == pytest.approx(0.0, abs=0.05)
