"""An encoder in float32, and some faces -> the same encoder in eight bits.

After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, with faces in
place of statistics of norms: channels are brought to like sizes where that changes nothing in float, ranges leave out
only what is rarest, and what rounding does to the mean of an output is taken out of its bias. Nothing is trained.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from models import weights
from models.encoder import ConvNormSlope, Encoder
from models.image import Pixels
from models.quantised import CENTRE, INPUT_STEP, LEVELS, Layer, Layers, Shape, as_tensors, rounded, shapes, through

TOGETHER = 16
# The size of a channel is the norm of this order over what it says: near its most, and not decided by one face.
NORM = 8
# A channel that hardly speaks is not taken for smaller than this share of the loudest.
QUIETEST = 1e-3
# This share of the numbers lies beyond either end of a range, and is cut: of what was tried, what moves embeddings of
# clean and degraded faces together least.
CUT = 1e-5
# Below it nothing is told from nothing.
LEAST = 1e-20
LARGEST_WEIGHT, WEIGHTS_TRIED = 127, torch.linspace(0.6, 1.0, 13).tolist()
# What a crop's middle grey is to the encoder in float.
FLOAT_CENTRE = 127.5


@dataclass(slots=True)
class _Plain:
    """A layer in float32; slope empty without a PReLU."""

    shape: Shape
    weight: Tensor
    bias: Tensor
    slope: Tensor


def quantise_file(
    name: str | Path, faces: Pixels, out: Path, *, terms: str | None = None, how: Mapping[str, object]
) -> None:
    """Writes those weights in eight bits, ranges measured on faces as `quantised` takes them, as safetensors.

    They want their faces aligned as the ones in float, and are under the same terms unless told others. how: how the
    faces were taken, for the file to say. Raises WeightsError for weights that are no encoder in float, ValueError.
    """
    says = {weights.FORM: weights.INT8, weights.TERMS_OF_FILE: weights.terms(name) if terms is None else terms}
    if weights.refines(name):
        says[weights.ALIGNMENT] = weights.REFINED
    says["made_by"] = json.dumps({"of": weights.model_id(name), "faces": len(faces), **how})
    layers = quantised(weights.load_encoder(name), faces)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(as_tensors(layers), out, says)


@torch.inference_mode()
def quantised(encoder: Encoder, faces: Pixels) -> Layers:
    """The layers in eight bits, as they lose least on faces uint8 (n, 112, 112, 3), n > 0. Changes the encoder.

    Takes some seconds and 10 MB of memory for each face. Raises ValueError without one.
    """
    if not len(faces):
        raise ValueError("no faces to measure ranges on")
    plain = _evened(_plain(encoder.folded()), faces)
    # Face by face what goes into a layer: as float has it, and as eight bits have it.
    exact, coarse, made = _inputs(faces), _inputs(faces), []
    step, zero = INPUT_STEP, CENTRE
    for layer in plain:
        weight, scale = whole(layer.weight)
        one = Layer(layer.shape, weight, scale, layer.bias, layer.slope, step, zero)
        exact = [through(layer.shape, x, layer.weight, layer.bias) for x in exact]
        coarse = [through(one.shape, rounded(x, step, zero), one.weights(), one.bias) for x in coarse]
        wrong = _mean(exact) - _mean(coarse)
        made.append(Layer(one.shape, weight, scale, one.bias + wrong, one.slope, step, zero))
        if len(layer.slope):
            exact = [torch.prelu(x, layer.slope) for x in exact]
            coarse = [torch.prelu(x + wrong.view(1, -1, 1, 1), layer.slope) for x in coarse]
            step, zero = range_of(exact)
    return tuple(made)


def whole(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights float32 (out, ...) -> int8 -127..127 of that shape, and the scales (out,) that lose least."""
    flat = weight.flatten(1)
    most = flat.abs().amax(1).clamp_min(LEAST)
    best, scale = torch.full_like(most, torch.inf), most / LARGEST_WEIGHT
    for share in WEIGHTS_TRIED:
        tried = most * (share / LARGEST_WEIGHT)
        lost = (_whole(flat, tried) * tried[:, None] - flat).square_().sum(1)
        scale = torch.where(lost < best, tried, scale)
        best = torch.minimum(lost, best)
    return _whole(flat, scale).to(torch.int8).view(weight.shape), scale


def range_of(seen: list[Tensor]) -> tuple[float, int]:
    """(step, zero point) for numbers like those seen: 256 levels, one of them 0, that hold all but the rarest."""
    numbers = torch.cat([x.flatten() for x in seen])
    rare = max(1, round(CUT * len(numbers)))
    low = min(float(numbers.topk(rare, largest=False).values[-1]), 0.0)
    high = max(float(numbers.topk(rare).values[-1]), 0.0)
    step = max((high - low) / (LEVELS - 1), LEAST)
    return float(torch.tensor(step)), round(-low / step)


def _plain(encoder: Encoder) -> list[_Plain]:
    """The layers of an encoder whose norms are folded, for inputs about 128 in place of 127.5."""
    *convolutions, linear = shapes()
    found = []
    for shape, layer in zip(convolutions, encoder.trunk, strict=True):
        assert isinstance(layer, ConvNormSlope)
        assert layer.conv.bias is not None
        found.append(
            _Plain(shape, *(tensor.clone() for tensor in (layer.conv.weight, layer.conv.bias, layer.slope.weight)))
        )
    found.append(_Plain(linear, encoder.project.weight.clone(), encoder.project.bias.clone(), torch.zeros(0)))
    found[0].bias += found[0].weight.sum((1, 2, 3)) * ((CENTRE - FLOAT_CENTRE) * INPUT_STEP)
    return found


def _evened(plain: list[_Plain], faces: Pixels) -> list[_Plain]:
    """The same function, with the channels between two layers of like sizes, since they share one range. Changes plain.

    What a channel is divided by the weights that read it are multiplied with; PReLU does not mind. A depthwise layer
    has a scale for each channel, and takes any factor; another layer has one for all, and half of it is left to it.
    """
    x = _inputs(faces)
    for layer, after in itertools.pairwise(plain):
        x = [torch.prelu(through(layer.shape, some, layer.weight, layer.bias), layer.slope) for some in x]
        factor = _above(_size(x))
        # (out, channels, numbers of each): of the linear layer, 49 places of each channel.
        read = after.weight.view(len(after.weight), len(factor) if after.shape.groups == 1 else 1, -1)
        if after.shape.groups == 1:
            factor = torch.sqrt(factor / _above(read.abs().amax((0, 2))))
        factor = factor / factor.log().mean().exp()
        by = factor.view(-1, 1, 1) if after.shape.groups > 1 else factor.view(1, -1, 1)
        after.weight = (read * by).view(after.weight.shape)
        layer.weight = layer.weight / factor.view(-1, 1, 1, 1)
        layer.bias = layer.bias / factor
        x = [some / factor.view(1, -1, 1, 1) for some in x]
    return plain


def _size(seen: list[Tensor]) -> Tensor:
    """Of each channel."""
    most = torch.stack([x.abs().amax((0, 2, 3)) for x in seen]).amax(0).clamp_min(LEAST)
    # Of shares of the most: eighth powers of the numbers themselves would leave float32.
    shares = _mean([(x.abs() / most.view(1, -1, 1, 1)) ** NORM for x in seen])
    return most * shares ** (1 / NORM)


def _above(sizes: Tensor) -> Tensor:
    return sizes.clamp_min(QUIETEST * float(sizes.max()))


def _inputs(faces: Pixels) -> list[Tensor]:
    parts = [torch.from_numpy(faces[i : i + TOGETHER]) for i in range(0, len(faces), TOGETHER)]
    return [((part.permute(0, 3, 1, 2).float() - CENTRE) * INPUT_STEP) for part in parts]


def _whole(flat: Tensor, scale: Tensor) -> Tensor:
    return torch.round(flat / scale[:, None]).clamp_(-LARGEST_WEIGHT, LARGEST_WEIGHT)


def _mean(outs: list[Tensor]) -> Tensor:
    """Of each output over all faces and places."""
    places = [0, 2, 3] if outs[0].ndim == 4 else [0]
    of_each = sum((out.double().sum(places) for out in outs), torch.zeros((), dtype=torch.float64))
    return (of_each / sum(out[:, 0].numel() for out in outs)).float()
