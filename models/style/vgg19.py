"""VGG-19's convolutions, as the network that perceives pictures.

Simonyan, Zisserman: "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015. A layer's name
always means its activation after the ReLU.
"""

from collections.abc import Collection, Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import WeightsError
from models.style.convolution import rectified, turned

# Channels of the convolutions of each block; a block ends with pooling by two.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512))
LAYERS = tuple(
    f"conv{block}_{unit}" for block, units in enumerate(BLOCKS, 1) for unit, _ in enumerate(units, 1)
)  # conv1_1 ... conv5_4
# What the published weights were trained on, in the order RGB: Caffe's means, of values 0 to 255.
MEANS_RGB = (123.68, 116.779, 103.939)
Pooling = Literal["max", "average"]
Padding = Literal["zeros", "replicate"]
Precision = Literal["float32", "bfloat16"]


class Vgg19(nn.Module):
    """Pictures float32 (n, 3, H, W), RGB, 0..255 -> activations. Frozen: no parameter ever has a gradient.

    pooling: `max` as published, or `average` as Gatys proposes. padding: what lies around the picture for the first
    convolution: `zeros` (the mean colour) as published, or `replicate`, which leaves no frame in renders. precision: in
    which the convolutions are computed, channels last. digest: of the file of the weights; mean_activations: layer ->
    (C,) over photos, for the normalised network, where the file has them.
    """

    def __init__(
        self, *, pooling: Pooling = "max", padding: Padding = "zeros", precision: Precision = "float32"
    ) -> None:
        super().__init__()
        self.digest = "untrained"
        self.mean_activations: dict[str, Tensor] | None = None
        self.pooling, self.padding, self.precision = pooling, padding, precision
        self.convolutions = nn.ModuleDict()
        channels = 3
        for name in LAYERS:
            made = BLOCKS[int(name[4]) - 1][int(name[6]) - 1]
            self.convolutions[name] = nn.Conv2d(channels, made, 3, padding=1)
            channels = made
        self._turned: dict[str, Tensor] = {}
        self.means: Tensor
        self.register_buffer("means", torch.tensor(MEANS_RGB)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all activations, from the shallowest."""
        return LAYERS

    def configured(self, *, pooling: Pooling, padding: Padding, precision: Precision) -> "Vgg19":
        """The same weights computing another way; shares what need not be converted."""
        other = Vgg19.__new__(Vgg19)
        nn.Module.__init__(other)
        other.digest, other.mean_activations = self.digest, self.mean_activations
        other.pooling, other.padding, other.precision = pooling, padding, precision
        other.convolutions, other._turned = nn.ModuleDict(), {}
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        for name, module in self.convolutions.items():
            assert isinstance(module, nn.Conv2d)
            like = nn.Conv2d(module.in_channels, module.out_channels, 3, padding=1, device="meta")
            weight = module.weight.to(dtype).contiguous(memory_format=torch.channels_last)
            like.weight = nn.Parameter(weight, requires_grad=False)
            assert module.bias is not None
            like.bias = nn.Parameter(module.bias.to(dtype), requires_grad=False)
            other.convolutions[name] = like
        other.register_buffer("means", self.means, persistent=False)
        other.eval()
        return other

    def forward(self, pictures: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """The wanted activations, (n, C, h, w) in the network's precision, differentiable; nothing beyond is computed.

        Raises ValueError for a layer that does not exist, and for a picture too small to reach the deepest wanted one.
        """
        if unknown := sorted(set(wanted) - set(LAYERS)):
            raise ValueError(f"no layer {', '.join(unknown)}: there are {LAYERS[0]} to {LAYERS[-1]}")
        last = max(map(LAYERS.index, wanted))
        if min(pictures.shape[-2:]) < stride(LAYERS[last]):
            raise ValueError(f"a picture of {pictures.shape[-1]} x {pictures.shape[-2]} does not reach {LAYERS[last]}")
        dtype = torch.bfloat16 if self.precision == "bfloat16" else self.means.dtype
        x = (pictures - self.means).contiguous(memory_format=torch.channels_last).to(dtype)
        found = {}
        for number, name in enumerate(LAYERS[: last + 1]):
            if name.endswith("_1") and number:
                x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)
            x = self._convolved(x, name)
            if name in wanted:
                found[name] = x
        return found

    def _convolved(self, x: Tensor, name: str) -> Tensor:
        convolution = self.convolutions[name]
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None
        if name not in self._turned or self._turned[name].dtype != convolution.weight.dtype:
            self._turned[name] = turned(convolution.weight)
        around = name == LAYERS[0] and self.padding == "replicate"
        if around:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate").contiguous(memory_format=torch.channels_last)
        back = self._turned[name]
        return rectified(x, convolution.weight, convolution.bias, back, padding=0 if around else 1)

    def stride(self, layer: str) -> int:
        """Pixels from one position of that layer to the next."""
        return stride(layer)

    def reach(self, layer: str) -> int:
        """The side of the square of pixels that one position of that layer sees."""
        return reach(layer)

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Self:
        """From tensors by name: ours (`conv1_1.weight`, filters for RGB), or torchvision's (`features.0.weight`).

        torchvision's were trained on RGB 0..1, normalised; its scale is folded into the first filters so that both
        take the same pictures. Raises WeightsError for anything else.
        """
        network = cls()
        ours = "conv1_1.weight" in tensors
        indices = _torchvision_indices()
        for name in LAYERS:
            prefix = name if ours else f"features.{indices[name]}"
            convolution = network.convolutions[name]
            assert isinstance(convolution, nn.Conv2d)
            for part in ("weight", "bias"):
                tensor = tensors.get(f"{prefix}.{part}")
                target = getattr(convolution, part)
                if not isinstance(tensor, Tensor) or tensor.shape != target.shape:
                    raise WeightsError(f"the file is no VGG-19: {prefix}.{part} is missing or of another shape")
                target.data = tensor.to(torch.float32).contiguous(memory_format=_format(part))
        if not ours:
            _take_caffes_range(network)
        return network


def stride(layer: str) -> int:
    """Pixels of the picture from one position of that layer to the next."""
    return 1 << (int(layer[4]) - 1)


def reach(layer: str) -> int:
    """The receptive field of a unit of that layer: the side of the square of pixels it can see."""
    seen, step = 1, 1
    for number, name in enumerate(LAYERS[: LAYERS.index(layer) + 1]):
        if name.endswith("_1") and number:
            seen, step = seen + step, 2 * step
        seen += 2 * step
    return seen


def multiplications(height: int, width: int, layers: Sequence[str]) -> int:
    """Multiplications and additions, in pairs, that the convolutions need to reach the deepest of those layers once."""
    last = max(map(LAYERS.index, layers))
    total, channels = 0, 3
    for name in LAYERS[: last + 1]:
        made = BLOCKS[int(name[4]) - 1][int(name[6]) - 1]
        total += 9 * channels * made * (height // stride(name)) * (width // stride(name))
        channels = made
    return total


def _format(part: str) -> torch.memory_format:
    return torch.channels_last if part == "weight" else torch.contiguous_format


def _torchvision_indices() -> dict[str, int]:
    """Where torchvision's list of layers has each convolution: a ReLU follows each, a pooling each block."""
    indices, index = {}, 0
    for number, name in enumerate(LAYERS):
        if name.endswith("_1") and number:
            index += 1
        indices[name] = index
        index += 2
    return indices


def _take_caffes_range(network: Vgg19) -> None:
    means, spreads = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    first = network.convolutions["conv1_1"]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    # (x / 255 - mean) / spread = (x - 255 mean) / (255 spread): other means than Caffe's, the same place for zeros.
    first.weight.data = first.weight.data / (255.0 * spreads)[None, :, None, None]
    network.means = (255.0 * means)[:, None, None]
