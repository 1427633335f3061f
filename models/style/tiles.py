"""The exact gradient of a canvas too large to be looked at whole: in tiles, in two passes.

Galerne, Raad, Lezama, Morel: "Scaling Painting Style Transfer", 2022. The first pass sums Gram matrices and content
distances over all tiles, the second one takes each tile again and sends the derivatives of the whole back through it.
A tile is seen with a margin as wide as the deepest layer reaches, so that what belongs to it is what the whole canvas
would give; at the canvas's edge the network pads as it does for the whole. Any number of dimensions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from models.style.gram import gram_sum
from models.style.objective import Objective, Sums
from models.style.stage import Beat, Losses, Network, silence


@dataclass(frozen=True, slots=True)
class Tile:
    """core: what belongs to it; seen: that and the margin; both along each axis, in positions of the canvas."""

    core: tuple[slice, ...]
    seen: tuple[slice, ...]


class TiledObjective:
    """An objective, looked at in tiles of `side` positions. Fits `stage.Evaluate`: same costs, same gradient."""

    def __init__(self, objective: Objective, side: int) -> None:
        self.objective, self._side = objective, side

    def __call__(self, canvas: Tensor, beat: Beat = silence, turn: int = 0) -> tuple[Losses, Tensor]:
        """As `Objective`; beat is called after each tile of each pass."""
        objective = self.objective
        cut = tiles(tuple(canvas.shape[2:]), self._side, objective.network, objective.wanted)
        whole = self._sums(canvas, cut, beat)
        leaves = [tensor.detach().requires_grad_() for tensor in whole.tensors()]
        leaf = canvas.detach().requires_grad_()
        total, losses = objective.costs(whole.of(leaves), leaf, self._positions(canvas))
        total.backward()  # type: ignore[no-untyped-call]
        gradient = torch.zeros_like(canvas) if leaf.grad is None else leaf.grad
        above = [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]
        for tile in cut:
            self._send_back(canvas, tile, above, gradient)
            beat()
        return losses(), gradient

    def _sums(self, canvas: Tensor, cut: Sequence[Tile], beat: Beat) -> Sums:
        total: Sums | None = None
        for tile in cut:
            with torch.no_grad():
                found = self._tile_sums(canvas[(slice(None), slice(None), *tile.seen)], tile)
            if total is None:
                total = found
            else:
                total = total.of([a + b for a, b in zip(total.tensors(), found.tensors(), strict=True)])
            beat()
        assert total is not None
        return total

    def _send_back(self, canvas: Tensor, tile: Tile, above: Sequence[Tensor], gradient: Tensor) -> None:
        place = (slice(None), slice(None), *tile.seen)
        leaf = canvas[place].detach().clone().requires_grad_()
        pairs = [
            (tensor, factor)
            for tensor, factor in zip(self._tile_sums(leaf, tile).tensors(), above, strict=True)
            if tensor.requires_grad
        ]
        torch.autograd.backward([tensor for tensor, _ in pairs], [factor for _, factor in pairs])
        assert leaf.grad is not None
        gradient[place] += leaf.grad

    def _tile_sums(self, seen: Tensor, tile: Tile) -> Sums:
        objective, place, own = self.objective, {}, {}
        for name, layer in objective.network(seen, objective.wanted).items():
            place[name], own[name] = _own_part(layer, tile, objective.network.stride(name))
        return objective.sums(own, place)

    def _positions(self, canvas: Tensor) -> Mapping[str, int]:
        found = {}
        for name in self.objective.wanted:
            stride = self.objective.network.stride(name)
            found[name] = 1
            for length in canvas.shape[2:]:
                found[name] *= length // stride
        return found


def activations(network: Network, canvas: Tensor, layers: Sequence[str], side: int) -> dict[str, Tensor]:
    """Layer -> activations of the whole canvas, without gradient; in tiles of `side`, or whole for 0."""
    with torch.no_grad():
        if not side or max(canvas.shape[2:]) <= side:
            return network(canvas, layers)
        found: dict[str, Tensor] = {}
        for place, name, own in _parts(network, canvas, layers, side):
            if name not in found:
                space = [length // network.stride(name) for length in canvas.shape[2:]]
                found[name] = own.new_empty((1, *space, own.shape[1])).movedim(-1, 1)  # channels last
            found[name][(slice(None), slice(None), *place)] = own
        return found


def mean_grams(network: Network, canvas: Tensor, layers: Sequence[str], side: int = 0) -> dict[str, Tensor]:
    """Layer -> mean Gram matrix float32 (C, C) of a canvas, without gradient; in tiles of `side`, or whole for 0."""
    with torch.no_grad():
        if not side or max(canvas.shape[2:]) <= side:
            return {name: gram_sum(layer) / layer[0, 0].numel() for name, layer in network(canvas, layers).items()}
        sums: dict[str, Tensor] = {}
        counts = dict.fromkeys(layers, 0)
        for _, name, own in _parts(network, canvas, layers, side):
            found = gram_sum(own)
            sums[name] = found if name not in sums else sums[name] + found
            counts[name] += own[0, 0].numel()
        return {name: total / counts[name] for name, total in sums.items()}


def tiles(space: Sequence[int], side: int, network: Network, layers: Sequence[str]) -> list[Tile]:
    """What covers the space once, each core at most `side` long along an axis, and at least one stride."""
    step = max(network.stride(name) for name in layers)
    # Half of what the deepest unit sees, on either side, in whole steps so that pooling falls on the same positions.
    margin = -(-max(network.reach(name) for name in layers) // (2 * step)) * step
    side = max(step, side // step * step)
    axes = []
    for length in space:
        starts = range(0, max(1, length // step * step), side)
        ends = [*starts[1:], length]
        axes.append(
            [
                (slice(begin, end), slice(max(0, begin - margin), min(length, end + margin)))
                for begin, end in zip(starts, ends, strict=True)
            ]
        )
    return [Tile(tuple(core for core, _ in one), tuple(seen for _, seen in one)) for one in product(*axes)]


def _parts(
    network: Network, canvas: Tensor, layers: Sequence[str], side: int
) -> Iterator[tuple[tuple[slice, ...], str, Tensor]]:
    for tile in tiles(tuple(canvas.shape[2:]), side, network, layers):
        for name, layer in network(canvas[(slice(None), slice(None), *tile.seen)], layers).items():
            place, own = _own_part(layer, tile, network.stride(name))
            yield place, name, own


def _own_part(layer: Tensor, tile: Tile, stride: int) -> tuple[tuple[slice, ...], Tensor]:
    """(where the tile's core lies in the whole canvas's activations, that part of the tile's activations)."""
    place = tuple(slice(core.start // stride, core.stop // stride) for core in tile.core)
    begin = [seen.start // stride for seen in tile.seen]
    own = tuple(slice(a.start - by, a.stop - by) for a, by in zip(place, begin, strict=True))
    return place, layer[(slice(None), slice(None), *own)]
