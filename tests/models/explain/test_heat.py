import numpy as np

from models.explain.heat import MARGIN_PX, SCALE, draw_faces, heated


def test_what_speaks_for_the_match_is_red_and_against_it_blue() -> None:
    crop = np.full((112, 112, 3), 120, np.uint8)
    heat = np.zeros((112, 112))
    heat[:20], heat[-20:] = 0.1, -0.1
    seen = heated(crop, heat, 0.1).astype(int)
    assert seen[5, 50, 0] > seen[5, 50, 2] + 100
    assert seen[-5, 50, 2] > seen[-5, 50, 0] + 100
    assert (seen[50, 50] == 120).all()


def test_without_any_heat_a_face_is_grey() -> None:
    crop = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    seen = heated(crop, np.zeros((112, 112)), 0.0)
    assert (seen[..., 0] == seen[..., 1]).all()


def test_both_faces_stand_above_their_heat_on_one_scale() -> None:
    crops = [np.full((112, 112, 3), tone, np.uint8) for tone in (60, 200)]
    sheet = np.asarray(draw_faces([(crops[0], np.full((112, 112), 0.2)), (crops[1], np.full((112, 112), 0.02))], "x"))
    side = SCALE * 112
    top, below, right = MARGIN_PX + side // 2, 2 * MARGIN_PX + side + side // 2, 2 * MARGIN_PX + side + side // 2
    assert (sheet[top, top] == 60).all()
    assert (sheet[top, right] == 200).all()
    hot, warm = sheet[below, top].astype(int), sheet[below, right].astype(int)
    assert hot[0] - hot[2] > 100
    assert 0 < warm[0] - warm[2] < 40
