"""Which units carry the style cost of a finished render.

Gatys, Ecker, Bethge 2015: J_style = sum_l lambda_l / (2 n_C)^2 ||G(render) - G(style)||^2 over mean Gram matrices. The
squares are summed over rows, one a unit, so that the shares of all units of all layers add up to 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.explain.patches import cut, strongest
from models.explain.sheet import Compared
from models.explain.units import Units
from models.image import Pixels
from models.style.objective import style_factor
from models.style.options import Convention
from models.style.tiles import mean_grams
from models.style.vgg19 import Vgg19

# Larger pictures are looked at in tiles of this side: the same figures in less memory.
TILE_PX = 512
# Of the style, and of the render, on a sheet.
PATCHES = 4


@dataclass(frozen=True)
class LayerCost:
    """cost: of the layer, lambda included; shares: float64 (C,), of J_style as a whole, a unit each; ratios: float64
    (C,), how strongly a unit answers to the render, root mean square, against the style: below 1 the render lacks it.
    """

    cost: float
    shares: Tensor = field(repr=False)
    ratios: Tensor = field(repr=False)

    @property
    def share(self) -> float:
        """Of J_style as a whole; 0 where nothing costs anything."""
        return float(self.shares.sum())

    def heaviest(self, count: int) -> list[tuple[int, float]]:
        """(unit, share of J_style), the largest first."""
        shares, order = self.shares.topk(min(count, len(self.shares)))
        return [(int(unit), float(share)) for unit, share in zip(order, shares, strict=True)]


def style_costs(
    network: Vgg19,
    render: Tensor,
    style: Tensor,
    layers: Mapping[str, float],
    *,
    convention: Convention = "gatys2015",
) -> dict[str, LayerCost]:
    """Layer -> what it costs and which units carry that. render, style: float32 (1, 3, H, W), RGB, 0..255, any sizes.

    layers: layer -> lambda. The cost is the one a render told where the network is configured as it was for that.
    """
    ours = mean_grams(network, render, list(layers), TILE_PX)
    theirs = mean_grams(network, style, list(layers), TILE_PX)
    return costs_of(ours, theirs, layers, convention=convention)


def costs_of(
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    layers: Mapping[str, float],
    *,
    convention: Convention = "gatys2015",
) -> dict[str, LayerCost]:
    """The same of mean Gram matrices (C, C) by layer, the render's and the style's."""
    rows = {}
    for name, share in layers.items():
        difference = (ours[name] - theirs[name]).double().square().sum(1)
        rows[name] = share * style_factor(convention, len(difference)) * difference
    total = torch.stack([one.sum() for one in rows.values()]).sum()
    safe = total if total > 0 else torch.ones_like(total)
    return {
        name: LayerCost(float(one.sum()), one / safe, _ratios(ours[name], theirs[name])) for name, one in rows.items()
    }


def compared(
    units: Units, costs: Mapping[str, LayerCost], render: Pixels, style: Pixels, *, each: int = 2
) -> Iterator[Compared]:
    """Of each layer the heaviest units, with what excites them most of the style and of the render, uint8 (H, W, 3)."""
    pictures = {"style": style, "render": render}
    found = {
        name: strongest(units, [picture], list(costs), patches=PATCHES, of_one=PATCHES)
        for name, picture in pictures.items()
    }
    for layer, cost in costs.items():
        for unit, share in cost.heaviest(each):
            shown = [
                [cut(picture, one, units.fields[layer], units.outside) for one in found[name][layer].of(unit)]
                for name, picture in pictures.items()
            ]
            yield Compared(layer, unit, share, float(cost.ratios[unit]), *shown)


def _ratios(ours: Tensor, theirs: Tensor) -> Tensor:
    # A unit that neither excites is as strong in both; one that the style alone leaves silent is infinitely stronger.
    strengths = [gram.diagonal().double().clamp(min=0).sqrt() for gram in (ours, theirs)]
    return torch.where(strengths[0] == strengths[1], 1.0, strengths[0] / strengths[1])
