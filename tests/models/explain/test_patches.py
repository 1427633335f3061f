"""On a network that looks for colours, the patches must be those of the colour, and no others."""

import numpy as np
import pytest
import torch

from models.explain.patches import MOST_OF_A_PICTURE, cut, strongest

RED, GREEN = 0, 1


def black(height: int = 20, width: int = 24) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def spot(at: tuple[int, int], value: int, unit: int = RED, size: int = 4) -> np.ndarray:
    picture = black()
    picture[at[0] : at[0] + size, at[1] : at[1] + size, unit] = value
    return picture


def test_the_patches_of_a_unit_are_its_strongest_first(colours) -> None:
    pictures = [spot((7, 9), 100), spot((3, 5), 250), spot((5, 5), 200, GREEN)]
    patches = strongest(colours(), pictures, ["sum"])["sum"].of(RED)
    assert patches[0].picture == 1
    assert [one.activation for one in patches] == sorted((one.activation for one in patches), reverse=True)
    assert next(one.activation for one in patches if one.picture == 0) == 100.0
    assert patches[0].activation == 250.0
    assert {one.picture for one in patches} == {0, 1}, "what is not red does not excite it"
    shown = cut(pictures[1], patches[0], colours().fields["sum"], colours().outside)
    assert (shown == [250, 0, 0]).all()


def test_activations_are_those_of_a_slow_search(colours) -> None:
    chance = np.random.default_rng(5)
    pictures = [chance.integers(0, 256, (20, 24, 3), dtype=np.uint8) for _ in range(3)]
    best = strongest(colours(), pictures, ["sum"])["sum"]
    layers = [colours()(torch.from_numpy(one).permute(2, 0, 1)[None].float(), ["sum"])["sum"][0] for one in pictures]
    for unit in range(3):
        assert best.activations[unit, 0] == max(float(layer[unit].max()) for layer in layers)
        for patch in best.of(unit):
            assert patch.activation == float(layers[patch.picture][unit][patch.position])
    torch.testing.assert_close(best.means, torch.stack(layers).mean((0, 2, 3)))


def test_a_picture_gives_two_patches_at_most_and_not_the_same_twice(colours) -> None:
    picture = spot((3, 3), 200, size=6)
    picture[13:17, 15:19, RED] = 150
    patches = strongest(colours(), [picture], ["sum"])["sum"].of(RED)
    assert len(patches) == MOST_OF_A_PICTURE == 2
    (row, column), (other_row, other_column) = (one.position for one in patches)
    field = colours().fields["sum"]
    assert field.stride * max(abs(row - other_row), abs(column - other_column)) >= field.reach / 2


def test_no_more_patches_are_kept_than_asked_for(colours) -> None:
    pictures = [spot((7, 9), 10 * n) for n in range(1, 9)]
    best = strongest(colours(), pictures, ["sum"], patches=3)["sum"]
    assert [one.activation for one in best.of(RED)] == [80.0, 70.0, 60.0]
    assert best.of(2) == []


@pytest.mark.parametrize("corner", [(0, 0), (18, 22), (0, 22), (18, 0)])
def test_what_lies_outside_of_the_picture_is_drawn_as_the_network_takes_it(colours, corner) -> None:
    picture = black() + np.uint8(77)
    picture[corner[0] : corner[0] + 2, corner[1] : corner[1] + 2] = (255, 77, 77)
    units = colours()
    patch = strongest(units, [picture], ["sum"])["sum"].of(RED)[0]
    field = units.fields["sum"]
    shown = cut(picture, patch, field, units.outside)
    (top, bottom), (left, right) = (field.seen(one) for one in patch.position)
    assert shown.shape == (4, 4, 3)
    for y in range(top, bottom):
        for x in range(left, right):
            inside = 0 <= y < 20 and 0 <= x < 24
            expected = picture[y, x] if inside else (10, 20, 30)
            assert (shown[y - top, x - left] == expected).all()


def test_choosy_units_answer_seldom_and_strongly_and_away_from_the_edge(colours) -> None:
    rare = [spot((7, 9), 200) + spot((0, 0), 90, GREEN, size=20) for _ in range(5)]
    assert strongest(colours(), rare, ["sum"])["sum"].choosy(1) == [RED]
    edge = [spot((0, 0), 255, RED, size=1) + spot((9, 9), 200, GREEN) for _ in range(5)]
    assert strongest(colours(), edge, ["sum"])["sum"].choosy(1) == [GREEN]
    assert strongest(colours(), edge, ["sum"])["sum"].choosy(9) == [0, 1, 2]


def test_a_picture_that_nobody_may_write_to_is_read_as_any_other(colours) -> None:
    picture = spot((7, 9), 100)
    picture.setflags(write=False)
    assert strongest(colours(), [picture], ["sum"])["sum"].of(RED)[0].activation == 100.0


def test_of_one_picture_come_as_many_patches_as_are_asked_for(colours) -> None:
    picture = sum(spot(at, 40 * n) for n, at in enumerate([(1, 1), (1, 9), (1, 17), (9, 1), (9, 9)], 1))
    best = strongest(colours(), [picture.astype(np.uint8)], ["sum"], of_one=4)["sum"]
    assert len(best.of(RED)) == 4


def test_one_picture_alone_is_enough_to_choose_units_by(colours) -> None:
    alone = spot((7, 9), 200, GREEN) + spot((13, 15), 150, GREEN) + spot((0, 0), 90, RED, size=20)
    assert strongest(colours(), [alone], ["sum"])["sum"].choosy(1) == [GREEN]
