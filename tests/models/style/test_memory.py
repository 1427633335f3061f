import random

import pytest

from models.style import memory
from models.style.vgg19 import reach

GIB = 1 << 30


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "gd"])
def test_a_larger_picture_and_a_larger_tile_take_more(optimizer):
    sides = [64, 256, 512, 1024, 4096]
    assert_rising([memory.of_picture((side, side), optimizer, 0) for side in sides])
    assert_rising([memory.of_picture((side, side), optimizer, 512) for side in sides])
    assert_rising([memory.of_picture((8192, 8192), optimizer, tile) for tile in reversed(memory.TILES)])
    assert memory.of_picture((8192, 8192), optimizer, 2048) < memory.of_picture((8192, 8192), optimizer, 0)


def assert_rising(figures):
    assert figures == sorted(figures)
    assert len(set(figures)) == len(figures)


def test_what_lbfgs_remembers_counts():
    assert memory.of_picture((512, 512), "lbfgs", 0) > memory.of_picture((512, 512), "adam", 0)


def test_it_is_looked_at_whole_where_that_fits_and_else_in_the_largest_tiles_that_do():
    space = (4096, 4096)
    assert memory.tile_of((256, 256), "adam", 4 * GIB) == 0
    assert memory.tile_of(space, "adam", memory.of_picture(space, "adam", 0)) == 0
    for tile in memory.TILES:
        needed = memory.of_picture(space, "adam", tile)
        assert memory.tile_of(space, "adam", needed) == tile
    assert memory.tile_of(space, "adam", memory.of_picture(space, "adam", memory.TILES[-1]) - 1) is None


def test_tiles_go_from_the_largest_to_the_smallest_in_whole_steps():
    assert list(memory.TILES) == sorted(memory.TILES, reverse=True)
    assert all(tile % 16 == 0 for tile in memory.TILES)
    assert reach("conv5_1") / 2 <= memory.MARGIN


@pytest.mark.parametrize("seed", range(5))
def test_what_is_said_to_fit_does_and_a_step_more_does_not(seed):
    generator = random.Random(seed)
    for _ in range(10):
        space = (generator.randint(500, 16_000), generator.randint(500, 16_000))
        limit = generator.randint(memory.BASE + 200 * memory.SEEN * 1000, 6 * GIB)
        if memory.tile_of(space, "lbfgs", limit) is not None:
            continue
        side = memory.largest(space, "lbfgs", limit)

        def fits(longer, space=space, limit=limit):
            scaled = [max(1, round(length * longer / max(space))) for length in space]
            return memory.tile_of(scaled, "lbfgs", limit) is not None

        assert fits(side)
        assert side % 16 == 0
        assert not fits(side + 16)
