"""The closer look: what it moves, what it leaves alone, and what it makes of a badly aligned face."""

import numpy as np
import pytest
import torch

from models.face.align import CROP_PX, MARGIN_PX, TEMPLATE, align, middle
from models.face.detect import Network, load_detector
from models.face.refine import landmarks_in, refined
from models.image import Pixels
from models.weights import sample_crops


@pytest.fixture(scope="module")
def detector() -> Network:
    return load_detector()


def shifted(crop: Pixels, x: float, y: float, size: float = 1.0) -> Pixels:
    """The crop as it would be had the landmarks been found elsewhere, and the face larger or smaller."""
    centre = (TEMPLATE + MARGIN_PX).mean(0)
    return align(crop, (TEMPLATE + MARGIN_PX - centre) * size + centre + (x, y))


def test_landmarks_are_found_where_the_face_of_the_crop_is(detector: Network) -> None:
    for points in landmarks_in(detector, sample_crops()):
        assert points is not None
        assert np.abs(points - (TEMPLATE + MARGIN_PX)).max() < 8


@pytest.mark.parametrize(("x", "y", "size"), [(5, 0, 1.0), (0, -6, 1.0), (-4, 4, 1.0), (8, 0, 1.0), (3, 5, 0.95)])
def test_faces_that_were_found_a_little_wrong_are_brought_back_to_their_place(
    detector: Network, x: float, y: float, size: float
) -> None:
    crops, centre = sample_crops(), (TEMPLATE + MARGIN_PX).mean(0)
    off = [shifted(crop, x, y, size) for crop in crops]
    before, after = [], []
    for right, seen in zip(landmarks_in(detector, crops), landmarks_in(detector, off), strict=True):
        assert right is not None
        assert seen is not None
        expected = (right - (x, y) - centre) / size + centre
        before.append(np.hypot(*(expected - right).T).mean())
        after.append(np.hypot(*(seen - expected).T).mean())
    # The detector is off by a pixel or two itself, otherwise in each picture.
    assert np.mean(after) < 0.5 * np.mean(before)


def test_a_crop_and_its_mirror_image_are_aligned_alike(detector: Network) -> None:
    crops = sample_crops()
    mirrored = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]
    for one, other in zip(landmarks_in(detector, crops), landmarks_in(detector, mirrored), strict=True):
        assert one is not None
        assert other is not None
        back = np.stack((CROP_PX - 1 - other[:, 0], other[:, 1]), 1)[[1, 0, 2, 4, 3]]
        np.testing.assert_allclose(one, back, atol=0.1)


def test_what_shows_no_face_is_seen_as_it_was_aligned(detector: Network) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (CROP_PX, CROP_PX, 3), dtype=np.uint8)
    assert landmarks_in(detector, [noise]) == [None]
    np.testing.assert_array_equal(refined(detector, [noise])[0], middle(noise))


def test_a_face_that_lies_elsewhere_is_another_one_and_moves_nothing(detector: Network) -> None:
    away = shifted(sample_crops()[0], 34, 30)
    assert landmarks_in(detector, [away]) == [None]


def test_many_crops_are_looked_at_as_each_of_them_alone(detector: Network) -> None:
    crops = [*sample_crops(), np.zeros((CROP_PX, CROP_PX, 3), np.uint8)]
    for one, crop in zip(refined(detector, crops), crops, strict=True):
        alone = refined(detector, [crop])[0]
        assert np.abs(one.astype(int) - alone).max() <= 1
    assert refined(detector, []) == []


def test_no_look_is_left_out_where_one_of_the_two_finds_the_face() -> None:
    real, calls = load_detector(), []

    def blind_to_mirrors(views: torch.Tensor) -> torch.Tensor:
        calls.append(len(views))
        return real(views) if len(calls) == 1 else torch.zeros_like(real(views))

    (points,) = landmarks_in(blind_to_mirrors, sample_crops()[:1])
    assert calls == [1, 1]
    assert points is not None
