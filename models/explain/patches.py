"""Which patches of pictures excite a unit most.

Zeiler, Fergus: "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4: the nine strongest
activations of a unit, each shown as what it could see of its picture.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from models.explain.units import Field, Units
from models.image import Pixels

PATCHES = 9
# Of one picture: a picture that a unit loves would fill all nine places with the same thing.
MOST_OF_A_PICTURE = 2
# What a unit counts by whose every patch leaves the picture; one that sees more than the picture has no other.
LEAST_INSIDE = 0.1


@dataclass(frozen=True, slots=True)
class Patch:
    """activation: of the unit there; picture: its number; position: (row, column) in the layer."""

    activation: float
    picture: int
    position: tuple[int, int]


@dataclass(frozen=True)
class Best:
    """The strongest activations of every unit of a layer, strongest first; places of which there are fewer hold 0.

    activations: float32 (C, patches); pictures, rows, columns: int64 of that shape; whole: bool of that shape, whether
    the picture held all that was seen; means: float32 (C,), over all positions of all pictures.
    """

    activations: Tensor = field(repr=False)
    pictures: Tensor = field(repr=False)
    rows: Tensor = field(repr=False)
    columns: Tensor = field(repr=False)
    whole: Tensor = field(repr=False)
    means: Tensor = field(repr=False)

    def of(self, unit: int) -> list[Patch]:
        """The patches of one unit, strongest first; none that did not excite it."""
        columns = (self.activations[unit], self.pictures[unit], self.rows[unit], self.columns[unit])
        return [
            Patch(float(value), int(number), (int(row), int(column)))
            for value, number, row, column in zip(*columns, strict=True)
            if value > 0
        ]

    def choosy(self, count: int) -> list[int]:
        """The units that answer seldom and then strongly, by number: their middle patch against their mean.

        Those that answer to the edge of pictures, where the network pads, count less.
        """
        # Of the places that these pictures can fill: few pictures never fill all nine.
        filled = int((self.activations > 0).sum(1).max())
        middle = self.activations[:, filled // 2]  # the first may be one picture's alone
        inside = LEAST_INSIDE + self.whole.float().mean(1)
        choice = inside * middle / self.means.abs().clamp(min=1e-6)
        choice = choice.masked_fill(middle <= 0, -1.0)
        return sorted(int(one) for one in choice.topk(min(count, len(choice))).indices)


def strongest(
    units: Units,
    pictures: Sequence[Pixels],
    layers: Collection[str],
    *,
    patches: int = PATCHES,
    of_one: int = MOST_OF_A_PICTURE,
) -> dict[str, Best]:
    """Layer -> the strongest activations of its units over pictures uint8 (H, W, 3), each read once.

    Of one picture at most `of_one`, which are apart by half of what they see: their patches do not show the same.
    """
    found: dict[str, Best] = {}
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(layers, 0)
    for number, picture in enumerate(pictures):
        with torch.no_grad():
            seen = units(as_canvas(picture), layers)
        for name, layer in seen.items():
            values, rows, columns = _peaks(layer[0].float(), units.fields[name], of_one)
            seen_whole = _whole(rows, picture.shape[0], units.fields[name])
            seen_whole &= _whole(columns, picture.shape[1], units.fields[name])
            places = (values, torch.full_like(rows, number), rows, columns, seen_whole)
            sums[name] = sums.get(name, torch.zeros(layer.shape[1])) + layer[0].float().sum((1, 2))
            counts[name] += layer[0, 0].numel()
            found[name] = _merged(found.get(name), places, sums[name] / counts[name], patches)
    return found


def cut(picture: Pixels, patch: Patch, field_: Field, outside: Sequence[float]) -> Pixels:
    """What a unit saw there, uint8 (reach, reach, 3); what lies outside of the picture is of that colour."""
    side = field_.reach
    shown = np.empty((side, side, 3), np.uint8)
    shown[:] = np.round(outside).astype(np.uint8)
    (top, bottom), (left, right) = (field_.seen(one) for one in patch.position)
    height, width = picture.shape[:2]
    rows, columns = slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
    shown[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = picture[rows, columns]
    return shown


def as_canvas(picture: Pixels) -> Tensor:
    """uint8 (H, W, 3) -> float32 (1, 3, H, W), 0..255."""
    # A copy: an array that nobody may write to, as a cache gives, is taken too.
    return torch.tensor(picture).permute(2, 0, 1)[None].float()


def _peaks(layer: Tensor, field_: Field, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(activations, rows, columns), (C, count) each, of a layer (C, h, w)."""
    channels, height, width = layer.shape
    rows, columns = torch.arange(height)[None, :, None], torch.arange(width)[None, None, :]
    apart = -(-field_.reach // (2 * field_.stride))
    left, found = layer, []
    for _ in range(count):
        value, place = left.reshape(channels, -1).max(1)
        row, column = place // width, place % width
        found.append((value, row, column))
        near = ((rows - row[:, None, None]).abs() < apart) & ((columns - column[:, None, None]).abs() < apart)
        left = left.masked_fill(near, 0.0)
    values, first, second = (torch.stack(one, 1) for one in zip(*found, strict=True))
    return values.clamp(min=0), first, second


def _merged(before: Best | None, peaks: Sequence[Tensor], means: Tensor, patches: int) -> Best:
    if before is None:
        empty = torch.zeros(len(means), patches)
        before = Best(empty, empty.long(), empty.long(), empty.long(), empty.bool(), means)
    old = (before.activations, before.pictures, before.rows, before.columns, before.whole)
    both = [torch.cat(pair, 1) for pair in zip(old, peaks, strict=True)]
    # Stable: of equal activations the earlier picture's stands.
    order = both[0].sort(dim=1, descending=True, stable=True).indices[:, :patches]
    activations, pictures, rows, columns, whole = (one.gather(1, order) for one in both)
    return Best(activations, pictures, rows, columns, whole, means)


def _whole(positions: Tensor, length: int, field_: Field) -> Tensor:
    first = field_.start + positions * field_.stride
    return (first >= 0) & (first + field_.reach <= length)
