import numpy as np

from models.explain.sheet import (
    CAPTION_PX,
    EMPTY,
    GAP_PX,
    HEADER_PX,
    TILE_PX,
    Compared,
    Row,
    draw_compared,
    draw_units,
)

STEP = TILE_PX + GAP_PX


def plain(tone: int, side: int = 10) -> np.ndarray:
    return np.full((side, side, 3), tone, np.uint8)


def test_every_unit_has_a_row_of_what_was_made_and_what_was_found() -> None:
    rows = [Row("conv1_1", 3, 12.0, plain(10), [plain(60), plain(90)]), Row("conv2_1", 4, 0.0, plain(20), [])]
    sheet = np.asarray(draw_units(rows, columns=3))
    first, beside = GAP_PX + CAPTION_PX, GAP_PX + CAPTION_PX + STEP + 3 * GAP_PX
    middle = TILE_PX // 2
    seen = [
        [
            sheet[HEADER_PX + row * STEP + middle, x + middle, 0]
            for x in (first, beside, beside + STEP, beside + 2 * STEP)
        ]
        for row in range(2)
    ]
    empty = int(EMPTY[1:3], 16)
    assert seen == [[10, 60, 90, empty], [20, empty, empty, empty]]


def test_small_patches_are_enlarged_by_whole_pixels() -> None:
    patch = np.zeros((3, 3, 3), np.uint8)
    patch[1, 1] = 255
    sheet = np.asarray(draw_units([Row("conv1_1", 0, 1.0, patch, [])], columns=1))
    tile = sheet[HEADER_PX : HEADER_PX + TILE_PX, GAP_PX + CAPTION_PX : GAP_PX + CAPTION_PX + TILE_PX, 0]
    assert set(np.unique(tile)) == {0, 255}
    assert (tile == 255).sum() == (TILE_PX // 3) ** 2


def test_captions_and_note_are_written() -> None:
    row = Row("conv1_1", 0, 1.0, plain(255), [])
    bare, noted = draw_units([row]), draw_units([row], note="eight pictures")
    assert noted.height > bare.height
    assert (np.asarray(noted)[-HEADER_PX:] < 200).any()
    assert (np.asarray(bare)[HEADER_PX:, :CAPTION_PX] < 60).any()


def test_style_and_render_stand_side_by_side() -> None:
    row = Compared("conv1_1", 3, 0.1, 1.5, [plain(40), plain(50)], [plain(60)])
    sheet = np.asarray(draw_compared([row], columns=2))
    beside = GAP_PX + CAPTION_PX + 2 * STEP + 3 * GAP_PX
    seen = [
        sheet[HEADER_PX + TILE_PX // 2, x + TILE_PX // 2, 0]
        for x in (GAP_PX + CAPTION_PX, GAP_PX + CAPTION_PX + STEP, beside, beside + STEP)
    ]
    assert seen == [40, 50, 60, int(EMPTY[1:3], 16)]
