import numpy as np
import pytest

from models.encoder import INPUT_PX
from models.face.align import CROP_PX, MARGIN_PX
from models.measure.conditions import CONDITIONS
from models.training.augment import AUGMENTATIONS, Canvas, cropped


def seen(name, canvas, points, seed=0):
    return AUGMENTATIONS[name](Canvas(canvas, points, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gives_a_canvas_of_bytes_and_leaves_its_own_alone(name, canvas, points):
    before = canvas.copy()
    for seed in range(5):
        out = seen(name, canvas, points, seed)
        assert out.shape == (CROP_PX, CROP_PX, 3)
        assert out.dtype == np.uint8
        assert (out != before).any()
    assert (canvas == before).all()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_seed_gives_the_same_picture_and_another_another(name, canvas, points):
    assert (seen(name, canvas, points, 4) == seen(name, canvas, points, 4)).all()
    assert any((seen(name, canvas, points, 4) != seen(name, canvas, points, seed)).any() for seed in (5, 6, 7))


def test_blur_keeps_the_light_and_takes_the_edges(canvas, points):
    for name in ("motion_blur", "out_of_focus"):
        for seed in range(5):
            out = seen(name, canvas, points, seed).astype(float)
            assert abs(out.mean() - canvas.mean()) < 1
            assert (
                np.abs(np.diff(out[60:80], axis=1)).max() < np.abs(np.diff(canvas[60:80].astype(float), axis=1)).max()
            )


def test_a_mask_covers_the_mouth_and_not_the_eyes(canvas, points):
    for seed in range(20):
        changed = (seen("mask", canvas, points, seed) != canvas).any(-1)
        mouth, eyes = points[3:].mean(0), points[:2]
        assert changed[int(mouth[1]), int(mouth[0])]
        assert not any(changed[int(y) - 6, int(x)] for x, y in eyes)


def test_glasses_touch_the_region_of_the_eyes_alone(canvas, points):
    for seed in range(20):
        changed = (seen("glasses", canvas, points, seed) != canvas).any(-1)
        rows = np.flatnonzero(changed.any(1))
        assert rows.min() > points[0, 1] - 30
        assert rows.max() < points[2, 1] + 16


def test_an_off_angle_face_is_aligned_again(canvas, points):
    mark = np.zeros_like(canvas)
    for x, y in points.round().astype(int):
        mark[y - 1 : y + 2, x - 1 : x + 2] = 255
    for seed in range(10):
        light = seen("off_angle", mark, points, seed)[..., 0].astype(float)
        y, x = np.mgrid[: len(light), : len(light)]
        centre = (x * light).sum() / light.sum(), (y * light).sum() / light.sum()
        assert np.hypot(centre[0] - points[:, 0].mean(), centre[1] - points[:, 1].mean()) < 6


def test_a_crop_without_jitter_is_the_inside_of_the_canvas_or_its_mirror(canvas):
    inside = canvas[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    crops = [cropped(canvas, np.random.default_rng(seed), 0.0) for seed in range(12)]
    same = [bool((np.abs(crop.astype(int) - inside) <= 1).all()) for crop in crops]
    mirrored = [bool((np.abs(crop[:, ::-1].astype(int) - inside) <= 1).all()) for crop in crops]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)


def test_jitter_moves_a_crop_by_pixels(canvas):
    crop = cropped(canvas, np.random.default_rng(1), 2.0)
    assert crop.shape == (INPUT_PX, INPUT_PX, 3)
    assert (crop != canvas[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]).any()


def test_what_is_trained_on_is_not_what_is_tested_on():
    """Other functions in another file: the one never imports the other."""
    for name in set(AUGMENTATIONS) & set(CONDITIONS):
        assert AUGMENTATIONS[name] is not CONDITIONS[name]
    assert not any("conditions" in str(vars(module).get("__module__")) for module in AUGMENTATIONS.values())
