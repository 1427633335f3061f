import math
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from models.explain.patches import as_canvas
from models.explain.style_costs import PATCHES, compared, costs_of, style_costs
from models.explain.units import PictureUnits
from models.style import perceptual
from models.style import plan as planning
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.tiles import mean_grams

LAYERS = {"conv1_1": 0.25, "conv2_1": 0.75}
LAYERS_OF_ONE = {"conv1_1": 1.0}


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


def test_a_unit_that_answers_too_strongly_carries_the_cost(pictures) -> None:
    network, strayed = perceptual.random(), perceptual.random()
    # One filter answers thrice as strongly: the same picture is another style, by that unit.
    strayed.convolutions["conv1_1"].weight.data[5] *= 3
    ours, theirs = (mean_grams(one, pictures[0], ["conv1_1"]) for one in (strayed, network))
    found = costs_of(ours, theirs, {"conv1_1": 1.0})["conv1_1"]
    assert found.heaviest(1)[0][0] == 5
    # Half of every other entry that changed stands in its row, and half in its column, which are the others' rows.
    assert 0.5 < found.heaviest(1)[0][1] < 1.0
    assert float(found.ratios[5]) == pytest.approx(3.0, rel=1e-4)
    others = torch.cat((found.ratios[:5], found.ratios[6:]))
    torch.testing.assert_close(others, torch.ones_like(others))


def test_a_unit_that_the_style_leaves_silent_is_told_as_infinitely_stronger() -> None:
    silent, heard = torch.zeros(2, 2), torch.tensor([[4.0, 0.0], [0.0, 0.0]])
    assert costs_of({"conv1_1": heard}, {"conv1_1": silent}, LAYERS_OF_ONE)["conv1_1"].ratios.tolist() == [math.inf, 1]
    assert costs_of({"conv1_1": silent}, {"conv1_1": heard}, LAYERS_OF_ONE)["conv1_1"].ratios.tolist() == [0, 1]


def test_the_heaviest_units_are_shown_in_style_and_in_render(pictures) -> None:
    network = perceptual.random()
    render, style = pictures
    shown = [one[0].permute(1, 2, 0).to(torch.uint8).numpy() for one in (render, style)]
    costs = style_costs(network, render.floor(), style.floor(), LAYERS)
    rows = list(compared(PictureUnits(network), costs, *shown, each=2))
    assert [(row.layer, row.unit) for row in rows] == [
        (name, unit) for name, cost in costs.items() for unit, _ in cost.heaviest(2)
    ]
    for row in rows:
        assert len(row.style) <= PATCHES
        for picture, patches in zip(shown, (row.render, row.style), strict=True):
            values = {tuple(colour) for colour in picture.reshape(-1, 3)} | {(124, 117, 104)}  # and the mean colour
            assert all({tuple(colour) for colour in patch.reshape(-1, 3)} <= values for patch in patches)


def test_a_picture_in_its_own_style_costs_nothing(pictures) -> None:
    found = style_costs(perceptual.random(), pictures[0], pictures[0], LAYERS)
    assert all(one.cost == one.share == 0 for one in found.values())
    assert all((one.ratios == 1).all() for one in found.values())


def test_the_cost_is_the_one_that_a_render_told() -> None:
    content, style = (png(colours, side) for colours, side in (((60, 120, 200), 40), ((200, 90, 30), 32)))
    layers = {"conv1_1": 0.5, "conv2_1": 0.5}
    plan = planning.plan(content, [style], Options.of({"steps": 3, "layers": layers, "size": 32}))
    *_, last = plan.render()
    network = perceptual.shipped().configured(pooling="max", padding="replicate", precision="float32")
    canvases = [canvas(file) for file in (last.result().content, style)]
    found = style_costs(network, *canvases, layers)
    # Pixels are rounded in the file; arithmetic in eight bits less is as far off.
    assert {name: one.cost for name, one in found.items()} == pytest.approx(dict(last.losses.per_layer), rel=0.1)


def png(colour: tuple[int, int, int], side: int) -> bytes:
    """A grating in that colour."""
    waves = 0.5 + 0.5 * np.sin(np.arange(side) / 2.0)
    pixels = (waves[:, None, None] * waves[None, ::-1, None] * np.array(colour)).astype(np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def canvas(file: bytes) -> torch.Tensor:
    return as_canvas(np.asarray(Image.open(BytesIO(file)).convert("RGB")))
