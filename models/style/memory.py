"""What a render of pictures takes, estimated before it begins."""

from collections.abc import Sequence

from models.style.optimise import PAIRS

# Bytes for each pixel that an evaluation holds at its peak, and that stay whatever is looked at (python -m
# benchmarks.style_memory): activations and their gradients, in float32, which takes more; torch and the network.
SEEN, BASE = 4000, 800 << 20
# Bytes for each pixel of the canvas: itself, its gradient, what a step makes of them, the content and its activations.
CANVAS = 160
# Sides of tiles, from the fastest.
TILES = (2048, 1536, 1024, 768, 512, 384)
MARGIN = 80


def of_picture(space: Sequence[int], optimizer: str, tile: int) -> int:
    """Bytes at the peak of a render of `space` pixels; tile: side of the tiles, 0: looked at whole."""
    pixels = space[0] * space[1]
    seen = pixels if not tile else min(pixels, (tile + 2 * MARGIN) ** 2)
    return BASE + SEEN * seen + pixels * (CANVAS + _kept(optimizer))


def tile_of(space: Sequence[int], optimizer: str, memory_bytes: int) -> int | None:
    """The side of tiles with which it fits; 0: whole; None: it does not fit."""
    for tile in (0, *TILES):
        if of_picture(space, optimizer, tile) <= memory_bytes:
            return tile
    return None


def largest(space: Sequence[int], optimizer: str, memory_bytes: int) -> int:
    """The longer side of a picture of that shape that fits, in steps of 16 pixels; 0: none does."""
    longest = max(space)
    for side in range(longest // 16 * 16, 0, -16):
        scaled = [max(1, round(length * side / longest)) for length in space]
        if min(scaled) >= 16 and tile_of(scaled, optimizer, memory_bytes) is not None:
            return side
    return 0


def _kept(optimizer: str) -> int:
    """Bytes for each pixel that an optimiser keeps: three colours, four bytes."""
    return 12 * (2 * PAIRS + 4) if optimizer == "lbfgs" else 12 * 6
