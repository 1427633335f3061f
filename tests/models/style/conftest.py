"""What the tests of the style engine share: small networks, small pictures, and steadiness."""

import copy
from collections.abc import Callable, Collection, Iterator
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from models.style import perceptual
from models.style.vgg19 import Vgg19

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
POOLINGS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class Toy:
    """Three convolutions by three in any number of dimensions, float64, pooled by two between them."""

    digest = "toy"
    LAYERS = ("fine", "middle", "coarse")
    # One convolution sees 3; pooling adds its step, and the next convolution twice the doubled one.
    REACHES = (3, 3 + 1 + 4, 8 + 2 + 8)

    def __init__(self, dimensions: int, channels: int = 5) -> None:
        self.dimensions = dimensions
        generator = torch.Generator().manual_seed(dimensions)
        self._filters, before = {}, 3
        for name in self.LAYERS:
            shape = (channels, before, *[3] * dimensions)
            self._filters[name] = torch.randn(shape, generator=generator, dtype=torch.float64) / 3**dimensions
            before = channels

    def __call__(self, canvas: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        found, x = {}, canvas
        for name in self.LAYERS:
            x = x if name == "fine" else POOLINGS[self.dimensions](x, 2)
            x = CONVOLUTIONS[self.dimensions](x, self._filters[name].to(x.dtype), padding=1).relu()
            if name in wanted:
                found[name] = x
        return found

    def stride(self, layer: str) -> int:
        return 1 << self.LAYERS.index(layer)

    def reach(self, layer: str) -> int:
        return self.REACHES[self.LAYERS.index(layer)]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    """Toy(dimensions): a network of three layers, `fine`, `middle` and `coarse`."""
    return Toy


@pytest.fixture(scope="session")
def random_network() -> Vgg19:
    """VGG-19 with random filters. Read-only."""
    return perceptual.random()


@pytest.fixture(scope="session")
def exact_network() -> Vgg19:
    """The shipped VGG-19 in float64. Read-only."""
    return copy.deepcopy(perceptual.shipped()).double()


@pytest.fixture(scope="session")
def canvas() -> Callable[..., Tensor]:
    """(*space) -> float64 (1, 3, *space), smooth and 0..255, another for every seed."""

    def make(*space: int, seed: int = 1) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, *[max(2, length // 4) for length in space], generator=generator)
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(space)]
        smooth = F.interpolate(coarse.double(), space, mode=mode, align_corners=False)
        grain = torch.rand(smooth.shape, generator=generator, dtype=torch.float64)
        return 200.0 * smooth + 55.0 * grain

    return make


@pytest.fixture(scope="session")
def photo(canvas: Callable[..., Tensor]) -> Callable[..., bytes]:
    """(height, width) -> a PNG file of those pixels, another for every seed."""

    def make(height: int, width: int, seed: int = 1, alpha: np.ndarray | None = None) -> bytes:
        picture = Image.fromarray(canvas(height, width, seed=seed)[0].permute(1, 2, 0).to(torch.uint8).numpy())
        if alpha is not None:
            picture.putalpha(Image.fromarray(alpha))
        out = BytesIO()
        picture.save(out, "PNG")
        return out.getvalue()

    return make
