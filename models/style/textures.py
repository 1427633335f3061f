"""Banks of random filters of several widths: what perceives textures without a network that was trained.

Ustyuzhaninov, Brendel, Gatys, Bethge: "What Does It Take to Generate Natural Textures?", ICLR 2017: one layer of random
filters and a rectifier, of several widths, is enough for a Gram matrix to tell a texture. Ulyanov and Lebedev, "Audio
texture synthesis and style transfer", 2016, and Antognini, Hoffman, Weiss, "Synthesizing Diverse, High-Quality Audio
Textures", 2018, take them along time for sound.
"""

import hashlib
import math
from collections.abc import Collection, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

PREFIX = "width"
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class RandomBanks:
    """Fits `stage.Network`: layers `width3`, `width9` ... as deep as each other, all of stride 1.

    channels: of the canvas; widths: positions along each axis, one bank for each; filters: of each bank, drawn with
    variance 2 / (channels width^dimensions) after He et al. 2015, so that activations are as large as the canvas
    whatever the width. The same arguments give the same filters everywhere. Computes in the canvas's precision.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        *,
        filters: int = 32,
        dimensions: Literal[1, 2, 3] = 1,
        seed: int = 0,
    ) -> None:
        self.channels, self.widths, self.filters, self.dimensions = channels, tuple(widths), filters, dimensions
        self.layers = tuple(layer_of(width) for width in self.widths)
        self.digest = f"random-banks-{dimensions}d-{channels}-{'-'.join(map(str, self.widths))}-{filters}-{seed}"
        self._banks = {layer_of(width): _drawn(channels, width, filters, dimensions, seed) for width in self.widths}

    def __call__(self, canvas: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Layer -> rectified activations (1, filters, *space), padded with zeros to the canvas's own space."""
        return {name: self._seen(canvas, name) for name in self.layers if name in wanted}

    def stride(self, layer: str) -> int:
        """Every layer has as many positions as the canvas."""
        return 1

    def reach(self, layer: str) -> int:
        """The bank's width. Raises KeyError for a layer that there is not."""
        return int(self._banks[layer].shape[2])

    def _seen(self, canvas: Tensor, name: str) -> Tensor:
        bank = self._banks[name].to(canvas)
        width = self.reach(name)
        padded = F.pad(canvas, [(width - 1) // 2, width // 2] * self.dimensions)
        return CONVOLUTIONS[self.dimensions](padded, bank).relu()


def layer_of(width: int) -> str:
    """What the bank of that width is called."""
    return f"{PREFIX}{width}"


def _drawn(channels: int, width: int, filters: int, dimensions: int, seed: int) -> Tensor:
    """float32 (filters, channels, *width), another draw for each width."""
    told = hashlib.sha256(f"{seed} {width} {dimensions}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(told[:6], "little"))
    spread = math.sqrt(2.0 / (channels * width**dimensions))
    return spread * torch.randn((filters, channels, *[width] * dimensions), generator=generator)
