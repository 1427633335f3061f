"""Convolution arithmetic: what volume comes out of a convolution in one, two or three dimensions, and what it costs.

Dumoulin, Visin: "A guide to convolution arithmetic for deep learning", 2016. A volume is written as in the books, space
first and channels last: 64x64x64x3. A filter always spans all channels of its input, so only its width is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_DIMENSIONS = 3


@dataclass(frozen=True, slots=True)
class Convolved:
    """shape: (*space, filters); parameters: weights and one bias a filter; multiplications: of one input volume."""

    shape: tuple[int, ...]
    parameters: int
    multiplications: int


def convolved(volume: Sequence[int], *, filters: int, width: int, stride: int = 1, padding: int = 0) -> Convolved:
    """What a convolution makes of a volume (*space, channels) with 1 to 3 axes of space.

    width, stride, padding: positions, the same along every axis; padding on either side. Multiplications with what lies
    in the padding are counted: they are made. Raises ValueError, which says what to change.
    """
    *space, channels = _checked(volume)
    for name, value, least in (("filters", filters, 1), ("width", width, 1), ("stride", stride, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}: it is at least {least}")
    if padding < 0:
        raise ValueError(f"padding is {padding}: it is at least 0")
    made = tuple(length(one, width=width, stride=stride, padding=padding) for one in space)
    weights = channels * filters * width ** len(space)
    positions = 1
    for one in made:
        positions *= one
    return Convolved((*made, filters), weights + filters, weights * positions)


def length(positions: int, *, width: int, stride: int = 1, padding: int = 0) -> int:
    """Along one axis: floor((n + 2 p - f) / s) + 1. What is left over at the end is never looked at.

    Raises ValueError for a filter that does not fit once.
    """
    left = positions + 2 * padding - width
    if left < 0:
        widest, least = positions + 2 * padding, -(-(width - positions) // 2)
        raise ValueError(
            f"a filter of {width} does not fit into {positions} positions with padding {padding}: "
            f"take a width of at most {widest}, or a padding of at least {least}"
        )
    return left // stride + 1


def same_padding(width: int) -> int:
    """The padding that keeps the length at stride 1, (f - 1) / 2. Raises ValueError for an even width: none does."""
    if width % 2 == 0:
        raise ValueError(f"no padding keeps the length under a filter of {width}: take an odd width")
    return (width - 1) // 2


def parsed(text: str) -> tuple[int, ...]:
    """`64x64x64x3` -> (64, 64, 64, 3). Raises ValueError."""
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is no volume: write its lengths and then its channels, such as 64x64x3")
    return _checked([int(part) for part in parts])


def written(volume: Sequence[int]) -> str:
    """(64, 64, 64, 3) -> `64x64x64x3`."""
    return "x".join(map(str, volume))


def _checked(volume: Sequence[int]) -> tuple[int, ...]:
    if not 2 <= len(volume) <= MOST_DIMENSIONS + 1:
        raise ValueError(
            f"{written(volume)} has {len(volume)} numbers: give 1 to {MOST_DIMENSIONS} lengths and then the channels, "
            "such as 14x1 for a signal and 64x64x3 for a picture"
        )
    if min(volume) < 1:
        raise ValueError(f"{written(volume)} has an axis of {min(volume)}: every one is at least 1")
    return tuple(volume)
