"""What perceives a volume: random banks of three dimensions for its grain, smoothed values for its structure."""

from collections.abc import Collection, Sequence

from torch import Tensor
from torch.nn import functional as F

from models.style.textures import RandomBanks

STRUCTURE = "structure"
# The structure is what a mean over a cube of so many voxels leaves; grain is what it does not.
SMOOTH = 3
MIDDLE, SPREAD = 127.5, 64.0


class Grain:
    """Fits `stage.Network` for canvases (1, channels, depth, height, width), 0..255."""

    def __init__(self, channels: int, widths: Sequence[int], filters: int) -> None:
        self._banks = RandomBanks(channels, widths, filters=filters, dimensions=3)
        self.digest = self._banks.digest

    def __call__(self, canvas: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Layer -> activations; `structure`: means over cubes."""
        plain = (canvas - MIDDLE) / SPREAD
        found = self._banks(plain, wanted)
        if STRUCTURE in wanted:
            found[STRUCTURE] = F.avg_pool3d(plain, SMOOTH, stride=1, padding=SMOOTH // 2, count_include_pad=False)
        return found

    def stride(self, layer: str) -> int:
        """One, for every layer."""
        return 1

    def reach(self, layer: str) -> int:
        """Voxels along each axis that one position sees."""
        return SMOOTH if layer == STRUCTURE else self._banks.reach(layer)
