"""Units of a network and what each can see: VGG-19's, and those of a face encoder, in one form.

A unit is a channel of a layer, at every position of which stands the same detector. What one position sees follows from
widths, strides and paddings alone: Araujo, Norris, Sim: "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from models.encoder import Encoder
from models.style.vgg19 import LAYERS, Vgg19

# Layers that a sheet shows, from the shallowest.
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
FACE_LAYERS = ("trunk.0", "trunk.4", "trunk.8", "trunk.12", "trunk.24")


@dataclass(frozen=True, slots=True)
class Field:
    """What position 0 of a layer sees along an axis: pixels start .. start + reach; position i: `stride * i` further.

    start is below 0 where the network pads: part of what is seen there lies outside of the picture.
    """

    reach: int = 1
    stride: int = 1
    start: int = 0

    def after(self, width: int, stride: int = 1, padding: int = 0) -> "Field":
        """The same one convolution or pooling later."""
        reach = self.reach + (width - 1) * self.stride
        return Field(reach, self.stride * stride, self.start - padding * self.stride)

    def seen(self, position: int) -> tuple[int, int]:
        """First pixel, and the one after the last, that a position sees; they may lie outside of the picture."""
        first = self.start + position * self.stride
        return first, first + self.reach


class Units(Protocol):
    """A network, as its units are looked at. layers: of a sheet; fields: of every layer; outside: RGB 0..255, what the
    first convolution takes what lies beyond the picture for.
    """

    layers: tuple[str, ...]
    fields: Mapping[str, Field]
    outside: tuple[float, float, float]

    def __call__(self, pictures: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Pictures float32 (n, 3, H, W), RGB, 0..255 -> activations (n, C, h, w) by layer, differentiable."""
        ...

    def count(self, layer: str) -> int:
        """How many units that layer has."""
        ...


class PictureUnits:
    """Fits `Units`: VGG-19, whose activations style transfer compares."""

    def __init__(self, network: Vgg19) -> None:
        self._network = network
        self.layers: tuple[str, ...] = STYLE_LAYERS
        red, green, blue = (float(one) for one in network.means.flatten())
        self.outside = (red, green, blue)
        self.fields: Mapping[str, Field] = dict(_vgg19_fields())

    def __call__(self, pictures: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """As `Units` has it; a layer's activations are those after the ReLU."""
        found: dict[str, Tensor] = self._network(pictures, wanted)
        return found

    def count(self, layer: str) -> int:
        """How many units that layer has."""
        convolution = self._network.convolutions[layer]
        assert isinstance(convolution, nn.Conv2d)
        return convolution.out_channels


class FaceUnits:
    """Fits `Units`: the trunk of a face encoder; a layer is named as its module, `trunk.8`. Freezes the network."""

    def __init__(self, network: Encoder) -> None:
        self._network = network.requires_grad_(False).eval()
        self.layers: tuple[str, ...] = FACE_LAYERS
        self.outside = (127.5, 127.5, 127.5)
        self.fields: Mapping[str, Field] = {}
        field = Field()
        for name, module in self._trunk():
            (convolution,) = (one for one in module.modules() if isinstance(one, nn.Conv2d))
            assert isinstance(convolution.padding[0], int)
            field = field.after(convolution.kernel_size[0], convolution.stride[0], convolution.padding[0])
            self.fields[name] = field

    def __call__(self, pictures: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """As `Units` has it, after norm and slope; any size, and nothing beyond the deepest wanted is computed."""
        x, found = (pictures - 127.5) * (1 / 128), {}
        for name, module in self._trunk():
            x = module(x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return found

    def count(self, layer: str) -> int:
        """How many units that layer has."""
        module = dict(self._trunk())[layer]
        return next(one.out_channels for one in module.modules() if isinstance(one, nn.Conv2d))

    def _trunk(self) -> Iterable[tuple[str, nn.Module]]:
        return ((f"trunk.{name}", module) for name, module in self._network.trunk.named_children())


def parsed_unit(text: str, units: Units) -> tuple[str, int]:
    """`conv3_1:17` -> ("conv3_1", 17). Raises ValueError, which says what there is."""
    layer, colon, number = text.partition(":")
    if layer not in units.fields:
        names = list(units.fields)
        raise ValueError(f"{text!r}: there is no layer {layer!r}; there are {names[0]} to {names[-1]}")
    if not colon or not (number.isascii() and number.isdigit()) or int(number) >= units.count(layer):
        raise ValueError(f"{text!r} is no unit: write {layer}:0 to {layer}:{units.count(layer) - 1}")
    return layer, int(number)


def _vgg19_fields() -> Iterable[tuple[str, Field]]:
    field = Field()
    for name in LAYERS:
        if name.endswith("_1") and name != LAYERS[0]:
            field = field.after(2, stride=2)
        field = field.after(3, padding=1)
        yield name, field
