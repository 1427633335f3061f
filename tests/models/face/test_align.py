"""Alignment: the least-squares similarity, and the crop that it makes."""

import cmath

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.face.align import TEMPLATE, align, middle, similarity_transform


def moved(points: np.ndarray, angle: float, scale: float, shift: complex) -> np.ndarray:
    turned = (points[:, 0] + 1j * points[:, 1]) * scale * cmath.exp(1j * angle) + shift
    return np.stack((turned.real, turned.imag), 1)


def carried(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


@given(
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.05, 20),
    x=st.floats(-2000, 2000),
    y=st.floats(-2000, 2000),
)
def test_finds_the_rotation_scale_and_shift_that_made_the_points(
    angle: float, scale: float, x: float, y: float
) -> None:
    source = moved(TEMPLATE, angle, scale, complex(x, y))
    np.testing.assert_allclose(carried(similarity_transform(source, TEMPLATE), source), TEMPLATE, atol=1e-6)


def test_is_the_best_of_all_similarities_where_none_fits() -> None:
    generator = np.random.default_rng(2)
    source = TEMPLATE + generator.normal(0, 6, TEMPLATE.shape)
    best = similarity_transform(source, TEMPLATE)
    error = np.square(carried(best, source) - TEMPLATE).sum()
    for _ in range(300):
        nudge = generator.normal(0, 0.02, 4)
        other = best + np.array([[nudge[0], -nudge[1], 50 * nudge[2]], [nudge[1], nudge[0], 50 * nudge[3]]])
        assert np.square(carried(other, source) - TEMPLATE).sum() >= error


def test_five_landmarks_in_one_point_give_a_finite_crop() -> None:
    assert align(np.zeros((50, 50, 3), np.uint8), np.full((5, 2), 20.0)).shape == (144, 144, 3)


def slow_align(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Bilinear sampling pixel by pixel in float64, black beyond the picture."""
    forward = similarity_transform(landmarks, TEMPLATE)
    back = np.linalg.inv(forward[:, :2])
    padded = np.zeros((picture.shape[0] + 2, picture.shape[1] + 2, 3))
    padded[1:-1, 1:-1] = picture
    crop = np.zeros((112, 112, 3))
    for row in range(112):
        for column in range(112):
            x, y = back @ (np.array([column, row]) - forward[:, 2]) + 1
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            if 0 <= x0 < padded.shape[1] - 1 and 0 <= y0 < padded.shape[0] - 1:
                fx, fy = x - x0, y - y0
                top = padded[y0, x0] * (1 - fx) + padded[y0, x0 + 1] * fx
                bottom = padded[y0 + 1, x0] * (1 - fx) + padded[y0 + 1, x0 + 1] * fx
                crop[row, column] = top * (1 - fy) + bottom * fy
    return crop


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(0.0, 1.0, 40 + 30j), (0.4, 0.8, 60 + 20j), (-0.6, 1.7, 50 + 90j)]
)
def test_crop_equals_slow_bilinear_sampling(angle: float, scale: float, shift: complex) -> None:
    generator = np.random.default_rng(4)
    coarse = generator.integers(0, 255, (40, 40, 3)).astype(np.float64)
    picture = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
    landmarks = moved(TEMPLATE, angle, scale, shift)
    expected = slow_align(picture, landmarks)
    inside = expected.min(2) > 0
    difference = np.abs(align(picture, landmarks, margin=0).astype(float) - expected)[inside]
    assert np.percentile(difference, 99) <= 1.5


def test_a_large_face_is_averaged_and_not_sampled_pixel_by_pixel() -> None:
    # A checkerboard of single pixels is grey to the eye; sampling every tenth pixel of it would be noise.
    board = (np.indices((1400, 1400)).sum(0) % 2 * 255).astype(np.uint8)
    crop = align(np.repeat(board[..., None], 3, 2), moved(TEMPLATE, 0.1, 10.3, 60 + 60j), margin=0)
    assert crop[20:90, 20:90].std() < 12
    assert abs(float(crop[20:90, 20:90].mean()) - 127.5) < 3


def test_beyond_the_picture_it_is_black() -> None:
    crop = align(np.full((60, 60, 3), 255, np.uint8), moved(TEMPLATE, 0.0, 1.0, -60 + 0j), margin=0)
    assert (crop[:, :50] == 0).all()
    assert align(np.full((60, 60, 3), 255, np.uint8), moved(TEMPLATE, 0.0, 1.0, 5000 + 5000j)).max() == 0


@settings(deadline=None, max_examples=40)
@example(angle=0.0, scale=1.0, x=-0.5, y=0.0)
@given(angle=st.floats(-0.7, 0.7), scale=st.floats(0.5, 7), x=st.floats(-150, 900), y=st.floats(-150, 900))
def test_the_margin_changes_nothing_of_what_is_inside(angle: float, scale: float, x: float, y: float) -> None:
    # Black along its border as beyond it: a place on the very border may be taken for either side.
    picture = np.zeros((700, 800, 3), np.uint8)
    picture[2:-2, 2:-2] = np.random.default_rng(5).integers(0, 255, (696, 796, 3))
    landmarks = moved(TEMPLATE, angle, scale, complex(x, y))
    inside = middle(align(picture, landmarks)).astype(int)
    # A level of rounding: the two are cut from arrays that begin at other pixels.
    assert np.abs(inside - align(picture, landmarks, margin=0)).max() <= 1
