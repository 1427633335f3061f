import numpy as np

from models.explain.layers import rows_of


def pictures() -> list[np.ndarray]:
    chance = np.random.default_rng(1)
    return [chance.integers(0, 200, (20, 24, 3), dtype=np.uint8) for _ in range(4)]


def test_the_units_asked_for_come_in_that_order_with_their_patches(colours) -> None:
    rows = list(rows_of(colours(), pictures(), [("sum", 2), ("sum", 0)], steps=1))
    assert [(row.layer, row.unit) for row in rows] == [("sum", 2), ("sum", 0)]
    assert all(len(row.patches) == 8 for row in rows), "two of each picture"
    for row in rows:
        means = [float(patch[..., row.unit].mean()) for patch in row.patches]
        assert means == sorted(means, reverse=True)
        assert row.made.shape == (4, 4, 3)


def test_without_any_each_layer_shows_some_of_its_own_choice(colours) -> None:
    rows = list(rows_of(colours(), pictures(), each=2, steps=0))
    assert len(rows) == 2
    assert len({row.unit for row in rows}) == 2


def test_a_unit_that_nothing_excites_has_no_patches(colours) -> None:
    (row,) = rows_of(colours(), [np.zeros((20, 24, 3), np.uint8)], [("sum", 1)], steps=0)
    assert row.peak == 0
    assert list(row.patches) == []
