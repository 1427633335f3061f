"""The cost of a canvas, as the literature defines it: J = alpha J_content + beta J_style (+ tv total variation).

Gatys, Ecker, Bethge 2015. Everything here is over (1, C, *space), whether a space has one, two or three dimensions. A
Gram matrix is divided by its positions, so that canvas and style need not have one size; for equal sizes the costs are
those of the papers to the letter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.style.gram import gram_sum, wide
from models.style.options import Convention
from models.style.stage import Beat, Losses, Network, silence

# Whose mask: nobody's.
EVERYWHERE = -1


@dataclass(frozen=True)
class Style:
    """What one style asks for. grams: layer -> mean Gram matrix float32 (C, C); masks: layer -> float32 (*space of the
    layer), how much each position of the canvas shall follow it, None: all alike.
    """

    grams: Mapping[str, Tensor]
    weight: float = 1.0
    masks: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Terms:
    """How the costs are weighed. layers: style layer -> lambda; content: the content layer; tv: weight of
    1/2 the sum of squared differences between neighbours.
    """

    alpha: float
    beta: float
    layers: Mapping[str, float]
    content: str
    convention: Convention = "gatys2015"
    tv: float = 0.0


@dataclass
class Sums:
    """What is summed over positions: (whose mask, layer) -> Gram sums, and the squared distance from the content.

    Whose mask: the number of a style that has masks, or EVERYWHERE.
    """

    grams: dict[tuple[int, str], Tensor]
    content: Tensor

    def tensors(self) -> list[Tensor]:
        """All of them, in an order that only the objective determines."""
        return [*self.grams.values(), self.content]

    def of(self, tensors: Sequence[Tensor]) -> "Sums":
        """The same places with other tensors."""
        return Sums(dict(zip(self.grams, tensors[:-1], strict=True)), tensors[-1])


class Objective:
    """The cost of canvases of one size. Fits `stage.Evaluate`.

    content: activations of the content at `terms.content`, as the network gives them for the whole canvas; None: no
    content counts.
    """

    def __init__(self, network: Network, content: Tensor | None, styles: Sequence[Style], terms: Terms) -> None:
        self.network, self.content, self.styles, self.terms = network, content, styles, terms
        self.wanted = sorted({*terms.layers, *([terms.content] if content is not None else [])})
        self._counts = [
            {name: float(mask.sum()) for name, mask in (style.masks or {}).items()} for style in styles
        ]  # a mask that is empty at a deep layer asks for nothing there

    def __call__(self, canvas: Tensor, beat: Beat = silence, turn: int = 0) -> tuple[Losses, Tensor]:
        """The costs, and the gradient float32 of `total`, of the canvas's shape."""
        leaf = canvas.detach().requires_grad_()
        found = self.network(leaf, self.wanted)
        beat()
        total, losses = self.costs(self.sums(found), leaf, _positions(found))
        total.backward()  # type: ignore[no-untyped-call]
        beat()
        assert leaf.grad is not None
        return losses(), leaf.grad

    def sums(self, found: Mapping[str, Tensor], place: Mapping[str, tuple[slice, ...]] | None = None) -> Sums:
        """Sums over the positions of these activations; place: layer -> where they lie in the whole canvas's."""
        grams: dict[tuple[int, str], Tensor] = {}
        for number, style in enumerate(self.styles):
            for name in self.terms.layers:
                if style.masks is None:
                    if (EVERYWHERE, name) not in grams:
                        grams[EVERYWHERE, name] = gram_sum(found[name])
                    continue
                mask = style.masks[name]
                grams[number, name] = gram_sum(found[name], mask if place is None else mask[place[name]])
        return Sums(grams, self._content_distance(found, place))

    def costs(self, sums: Sums, canvas: Tensor, positions: Mapping[str, int]) -> tuple[Tensor, "_Costs"]:
        """(total, a function that reads the losses) of sums over all of the canvas; differentiable."""
        terms, per_layer = self.terms, {}
        for name, share in terms.layers.items():
            cost = torch.zeros((), device=canvas.device)
            for number, style in enumerate(self.styles):
                whose = EVERYWHERE if style.masks is None else number
                count = self._counts[number].get(name, float(positions[name]))
                if count > 0:
                    difference = sums.grams[whose, name] / count - style.grams[name]
                    cost = cost + style.weight * difference.square().sum()
            channels = self.styles[0].grams[name].shape[0]
            per_layer[name] = share * cost * style_factor(terms.convention, channels)
        style_cost = torch.stack(list(per_layer.values())).sum()
        content_cost = sums.content
        if self.content is not None:
            content_cost = content_cost * content_factor(terms.convention, self.content.numel())
        total = terms.alpha * content_cost + terms.beta * style_cost
        if terms.tv:
            total = total + terms.tv * total_variation(canvas)
        return total, _Costs(total, content_cost, style_cost, per_layer)

    def _content_distance(self, found: Mapping[str, Tensor], place: Mapping[str, tuple[slice, ...]] | None) -> Tensor:
        if self.content is None:
            return torch.zeros(())
        theirs = self.content if place is None else self.content[(slice(None), slice(None), *place[self.terms.content])]
        ours = found[self.terms.content]
        return (ours.to(wide(ours.dtype)) - theirs.to(wide(ours.dtype))).square().sum()


class _Costs:
    """Reads the losses once the work is done: reading earlier would make an accelerator wait."""

    def __init__(self, total: Tensor, content: Tensor, style: Tensor, per_layer: Mapping[str, Tensor]) -> None:
        self._tensors = (total, content, style, per_layer)

    def __call__(self) -> Losses:
        total, content, style, per_layer = self._tensors
        layers = {name: float(cost.detach()) for name, cost in per_layer.items()}
        return Losses(float(total.detach()), float(content.detach()), float(style.detach()), layers)


def content_factor(convention: Convention, values: int) -> float:
    """What the summed squared distance is multiplied by: 1/2, or the mean of the programs in PyTorch and Torch."""
    return 0.5 if convention == "gatys2015" else 1.0 / values


def style_factor(convention: Convention, channels: int) -> float:
    """What the squared distance of mean Gram matrices is multiplied by.

    gatys2015: 1 / (2 n_H n_W n_C)^2 of raw ones, which is 1 / (2 n_C)^2 of mean ones. gatys_pytorch: the mean over the
    matrix, and 1 / n_C^2 as its notebook weighs layers. johnson: Gram matrices over C as well, and the mean: the same.
    """
    return 1.0 / (4.0 * channels**2) if convention == "gatys2015" else 1.0 / float(channels) ** 4


def total_variation(canvas: Tensor) -> Tensor:
    """1/2 the sum of squared differences between neighbours along each axis of space."""
    total = torch.zeros((), device=canvas.device)
    for axis in range(2, canvas.dim()):
        total = total + 0.5 * canvas.diff(dim=axis).square().sum()
    return total


def _positions(found: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: layer[0, 0].numel() for name, layer in found.items()}
