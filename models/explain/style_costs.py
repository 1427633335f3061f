"""Which units carry the style cost of a finished render.

Gatys, Ecker, Bethge 2015: J_style = sum_l lambda_l / (2 n_C)^2 ||G(render) - G(style)||^2 over mean Gram matrices. The
squares are summed over rows, one a unit, so that the shares of all units of all layers add up to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.style.objective import style_factor
from models.style.options import Convention
from models.style.tiles import mean_grams
from models.style.vgg19 import Vgg19

# Larger pictures are looked at in tiles of this side: the same figures in less memory.
TILE_PX = 512


@dataclass(frozen=True)
class LayerCost:
    """cost: of the layer, lambda included; shares: float64 (C,), of J_style as a whole, a unit each."""

    cost: float
    shares: Tensor = field(repr=False)

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

    layers: layer -> lambda.
    """
    ours = mean_grams(network, render, list(layers), TILE_PX)
    theirs = mean_grams(network, style, list(layers), TILE_PX)
    rows = {}
    for name, share in layers.items():
        difference = (ours[name] - theirs[name]).double().square().sum(1)
        rows[name] = share * style_factor(convention, len(difference)) * difference
    total = torch.stack([one.sum() for one in rows.values()]).sum()
    safe = total if total > 0 else torch.ones_like(total)
    return {name: LayerCost(float(one.sum()), one / safe) for name, one in rows.items()}
