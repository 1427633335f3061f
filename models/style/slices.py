"""A painting as the style of a volume: VGG-19 looks at slices along the three axes, other ones each time.

After Gutierrez, Galerne, Ricordel, Rabin et al., "On Demand Solid Texture Synthesis Using Deep 3D Networks", 2020, who
train a generator so; here the voxels themselves are optimised. The volume's structure counts as a whole.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.style.gram import gram_sum
from models.style.objective import Style, Terms, style_factor
from models.style.stage import Beat, Losses, Network, silence

# Slices along each axis that one evaluation looks at.
EACH = 2


class SlicedObjective:
    """Fits `stage.Evaluate`: by chance, drawn from the seed and the turn alone.

    structure: sees the volume; its layer `terms.content` is compared with `content`. network: sees slices, pictures
    float32 (1, 3, H, W). styles: Gram matrices of paintings.
    """

    def __init__(
        self, structure: Network, content: Tensor, network: Network, styles: Sequence[Style], terms: Terms, seed: int
    ) -> None:
        self._structure, self._content, self._network = structure, content, network
        self._styles, self._terms, self._seed = styles, terms, seed

    def __call__(self, canvas: Tensor, beat: Beat = silence, turn: int = 0) -> tuple[Losses, Tensor]:
        """The structure's cost, and the mean of the slices' style costs; the gradient of their sum."""
        leaf = canvas.detach().requires_grad_()
        terms = self._terms
        content = 0.5 * (self._structure(leaf, [terms.content])[terms.content] - self._content).square().sum()
        (terms.alpha * content).backward()  # type: ignore[no-untyped-call]
        per_layer = dict.fromkeys(terms.layers, 0.0)
        drawn = self._drawn(tuple(canvas.shape[2:]), turn)
        for axis, place in drawn:
            costs = self._of_slice(leaf.select(2 + axis, place))
            cost = torch.stack(list(costs.values())).sum() / len(drawn)
            (terms.beta * cost).backward()  # type: ignore[no-untyped-call]
            for name, value in costs.items():
                per_layer[name] += float(value.detach()) / len(drawn)
            beat()
        assert leaf.grad is not None
        style, kept = sum(per_layer.values()), float(content.detach())
        return Losses(terms.alpha * kept + terms.beta * style, kept, style, per_layer), leaf.grad

    def _drawn(self, space: Sequence[int], turn: int) -> list[tuple[int, int]]:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + turn) % (1 << 63))
        return [
            (axis, int(place))
            for axis, length in enumerate(space)
            for place in torch.randint(length, (EACH,), generator=generator)
        ]

    def _of_slice(self, piece: Tensor) -> Mapping[str, Tensor]:
        picture = piece if piece.shape[1] == 3 else piece.expand(-1, 3, -1, -1)
        costs = {}
        for name, layer in self._network(picture, list(self._terms.layers)).items():
            mean = gram_sum(layer) / layer[0, 0].numel()
            factor = self._terms.layers[name] * style_factor(self._terms.convention, mean.shape[0])
            distances = [style.weight * (mean - style.grams[name]).square().sum() for style in self._styles]
            costs[name] = factor * torch.stack(distances).sum()
        return costs
