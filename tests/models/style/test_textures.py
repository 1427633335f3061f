from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.style.objective import Objective, Style, Terms
from models.style.textures import RandomBanks
from models.style.tiles import TiledObjective, mean_grams


@pytest.mark.parametrize(("dimensions", "space"), [(1, (40,)), (2, (12, 9)), (3, (8, 7, 6))])
def test_each_bank_has_as_many_positions_as_the_canvas(
    dimensions: int, space: tuple[int, ...], canvas: Callable[..., Tensor]
) -> None:
    banks = RandomBanks(3, (2, 3, 5), filters=4, dimensions=dimensions)
    found = banks(canvas(*space), ["width2", "width5"])
    assert {name: tuple(layer.shape) for name, layer in found.items()} == {
        "width2": (1, 4, *space),
        "width5": (1, 4, *space),
    }
    assert all(bool((layer >= 0).all()) for layer in found.values())
    assert [banks.reach(name) for name in banks.layers] == [2, 3, 5]


def test_the_same_seed_gives_the_same_filters_and_another_seed_others() -> None:
    canvas = torch.ones(1, 3, 20)
    first, again, other = (RandomBanks(3, (5,), seed=seed)(canvas, ["width5"])["width5"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_activations_are_about_as_large_as_the_canvas_whatever_the_width() -> None:
    canvas = torch.randn(1, 8, 4000, generator=torch.Generator().manual_seed(1))
    banks = RandomBanks(8, (3, 9, 31), filters=64)
    for layer in banks(canvas, banks.layers).values():
        assert float(layer.square().mean()) == pytest.approx(float(canvas.square().mean()), rel=0.15)


def test_what_a_position_sees_is_no_wider_than_the_reach() -> None:
    banks = RandomBanks(1, (4,), filters=64)
    canvas = torch.zeros(1, 1, 41)
    canvas[..., 20] = 1.0
    touched = banks(canvas, ["width4"])["width4"].sum(dim=(0, 1)).nonzero().flatten()
    assert int(touched.max() - touched.min()) + 1 == 4


@pytest.mark.parametrize(("dimensions", "space", "side"), [(1, (60,), 16), (3, (12, 10, 11), 6)])
def test_a_tiled_objective_over_banks_gives_the_gradient_of_the_whole(
    dimensions: int, space: tuple[int, ...], side: int, canvas: Callable[..., Tensor]
) -> None:
    banks = RandomBanks(3, (3, 4), filters=6, dimensions=dimensions)
    style = Style(mean_grams(banks, canvas(*space, seed=2), banks.layers))
    content = banks(canvas(*space, seed=3), ["width3"])["width3"]
    objective = Objective(banks, content, [style], Terms(1.0, 10.0, dict.fromkeys(banks.layers, 0.5), "width3"))
    whole, gradient = objective(canvas(*space))
    tiled, same = TiledObjective(objective, side)(canvas(*space))
    assert tiled.total == pytest.approx(whole.total, rel=1e-9)
    assert torch.allclose(same, gradient, rtol=1e-9, atol=1e-9)
