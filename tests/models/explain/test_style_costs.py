import pytest
import torch

from models.explain.style_costs import style_costs
from models.style import perceptual
from models.style.objective import Objective, Style, Terms
from models.style.tiles import mean_grams

LAYERS = {"conv1_1": 0.25, "conv2_1": 0.75}


@pytest.fixture(scope="module")
def pictures():
    chance = torch.Generator().manual_seed(2)
    return [255 * torch.rand(1, 3, side, 40, generator=chance) for side in (32, 48)]


def test_shares_add_up_to_the_cost_that_the_render_was_made_by(pictures) -> None:
    network = perceptual.random()
    render, style = pictures
    found = style_costs(network, render, style, LAYERS)
    terms = Terms(0.0, 1.0, LAYERS, "conv1_1")
    losses, _ = Objective(network, None, [Style(mean_grams(network, style, list(LAYERS)))], terms)(render)
    assert {name: one.cost for name, one in found.items()} == pytest.approx(dict(losses.per_layer), rel=1e-4)
    assert sum(one.share for one in found.values()) == pytest.approx(1.0)


def test_the_heaviest_units_come_first(pictures) -> None:
    found = style_costs(perceptual.random(), *pictures, LAYERS)["conv1_1"]
    heaviest = found.heaviest(64)
    assert [share for _, share in heaviest] == sorted((float(one) for one in found.shares), reverse=True)
    assert found.heaviest(3) == heaviest[:3]


def test_a_unit_that_alone_is_off_carries_the_cost(pictures) -> None:
    network, strayed = perceptual.random(), perceptual.random()
    # One filter answers thrice as strongly: to `strayed` the same picture is another style, by that unit alone.
    strayed.convolutions["conv1_1"].weight.data[5] *= 3
    theirs = mean_grams(strayed, pictures[0], ["conv1_1"])["conv1_1"]
    ours = mean_grams(network, pictures[0], ["conv1_1"])["conv1_1"]
    assert int((theirs - ours).square().sum(1).argmax()) == 5


def test_a_picture_in_its_own_style_costs_nothing(pictures) -> None:
    found = style_costs(perceptual.random(), pictures[0], pictures[0], LAYERS)
    assert all(one.cost == one.share == 0 for one in found.values())
