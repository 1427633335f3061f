"""An encoder in eight bits: what is held of it, and what every engine that runs it has to compute.

After Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
2018. What goes into a layer is whole numbers 0..255, less a zero point, times a step; a weight is a whole number
-127..127 times a scale of its output. Products and sums are of whole numbers, so that processors need a quarter of the
bytes, and those with instructions for it a quarter of the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as nnf

from models.encoder import BLOCKS, DIMENSIONS, INPUT_PX

LEVELS = 256
# A crop's 0..255 goes in as it is: 128 stands for nothing, where the encoder in float takes 127.5.
CENTRE, INPUT_STEP = 128, 1 / 128
PARTS = ("weight", "scale", "bias", "slope", "step", "zero")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a layer is but for its numbers. weight: shape of its weights, four numbers, or two of the linear layer."""

    weight: tuple[int, ...]
    stride: int = 1
    groups: int = 1


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One layer with its PReLU. weight int8 as `shape` says; scale, bias, slope float32 (out,), or no slope at all.

    step, zero: x stands for what goes in as round(x / step) + zero, cut to 0..255.
    """

    shape: Shape
    weight: Tensor = field(repr=False)
    scale: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)
    slope: Tensor = field(repr=False)
    step: float
    zero: int

    def weights(self) -> Tensor:
        """As the float32 numbers that they stand for."""
        return self.weight.float() * self.scale.view(-1, *[1] * (self.weight.ndim - 1))


# An encoder in eight bits, the linear layer last.
Layers = tuple[Layer, ...]


def shapes() -> list[Shape]:
    """Of the layers of an encoder whose norms are folded, in order."""
    found, channels = [Shape((32, 3, 3, 3))], 32
    for channels_out, stride in BLOCKS:
        found.append(Shape((channels, 1, 3, 3), stride, channels))
        found.append(Shape((channels_out, channels, 1, 1)))
        channels = channels_out
    return [*found, Shape((DIMENSIONS, channels * (INPUT_PX // 16) ** 2))]


@torch.inference_mode()
def exactly(layers: Sequence[Layer], inputs: Tensor) -> Tensor:
    """What the layers say of uint8 (n, 3, h, w): float32, slowly, with sums that float32 holds nearly exactly.

    An engine may differ where a number lies between two levels and falls to the other side.
    """
    x = (inputs.float() - CENTRE) * INPUT_STEP
    for layer in layers:
        x = through(layer.shape, rounded(x, layer.step, layer.zero), layer.weights(), layer.bias)
        if len(layer.slope):
            x = torch.prelu(x, layer.slope)
    return x


def through(shape: Shape, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution, or the linear layer, of that shape with those float32 numbers, without its PReLU."""
    if weight.ndim == 2:
        return nnf.linear(x.flatten(1), weight, bias)
    return nnf.conv2d(x, weight, bias, shape.stride, weight.shape[-1] // 2, groups=shape.groups)


def rounded(x: Tensor, step: float, zero: int) -> Tensor:
    """Each number as the nearest of the 256 that can be told."""
    return (torch.round(x / step).add_(zero).clamp_(0, LEVELS - 1) - zero) * step


def as_tensors(layers: Sequence[Layer]) -> dict[str, Tensor]:
    """What a file holds of them, by name."""
    held: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        parts = (layer.weight, layer.scale, layer.bias, layer.slope)
        small = (torch.tensor([layer.step]), torch.tensor([layer.zero], dtype=torch.uint8))
        held |= {f"{number:02}.{name}": part.contiguous() for name, part in zip(PARTS, (*parts, *small), strict=True)}
    return held


def of_tensors(held: Mapping[str, Tensor]) -> Layers:
    """The other way round. Raises ValueError for what is no encoder in eight bits."""
    wanted = shapes()
    if len(held) != len(PARTS) * len(wanted):
        raise ValueError("other layers than those of the encoder")
    return tuple(_layer(held, f"{number:02}", shape) for number, shape in enumerate(wanted))


def _layer(held: Mapping[str, Tensor], number: str, shape: Shape) -> Layer:
    try:
        weight, scale, bias, slope, step, zero = (held[f"{number}.{part}"] for part in PARTS)
    except KeyError as e:
        raise ValueError(f"{e.args[0]} is missing") from e
    outs = (shape.weight[0],)
    slopes = outs if len(shape.weight) == 4 else (0,)
    found = [(t.dtype, tuple(t.shape)) for t in (weight, scale, bias, slope, step, zero)]
    floats = [(torch.float32, size) for size in (outs, outs, slopes, (1,))]
    if found != [(torch.int8, shape.weight), *floats, (torch.uint8, (1,))]:
        raise ValueError(f"layer {number} is of another shape or of other numbers")
    if not float(step) > 0 or not all(bool(torch.isfinite(t).all()) for t in (scale, bias, slope, step)):
        raise ValueError(f"layer {number} holds numbers that are none")
    return Layer(shape, weight, scale, bias, slope, float(step), int(zero))
