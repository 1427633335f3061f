"""The weights of the perceptual network: what is shipped, a file of one's own, or, where asked for, random ones."""

import hashlib
import json
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import WeightsError
from models.style.vgg19 import LAYERS, Vgg19
from models.weights import FOLDER, PERCEPTUAL

# The name in the file's header of the activations that the network shall have.
KNOWN = "known_activations"
SAMPLE_SIDE = 64
# Of a layer's mean activation: what a filter that hardly ever answers is divided by, at least.
FLOOR = 0.1


@cache
def shipped() -> Vgg19:
    """The shipped network in float32; read once a process. Raises WeightsError. Read-only."""
    path = FOLDER / f"{PERCEPTUAL}.safetensors"
    tensors, header = _read(path)
    network = Vgg19.of(looked_up(tensors))
    network.mean_activations = {name: tensors[f"{name}.mean"] for name in LAYERS}
    known, found = json.loads(header.get(KNOWN, "null")), known_activations(network)
    if known is None or any(abs(found[name] - known[name]) > 1e-3 * abs(known[name]) for name in LAYERS):
        raise WeightsError(f"{path.name} does not answer as it should: install the distribution again")
    network.digest = digest(path)
    return network


def of_file(path: Path) -> Vgg19:
    """A network of one's own: a safetensors file, or a PyTorch one of torchvision's form. Raises WeightsError."""
    if path.suffix == ".safetensors":
        tensors, _ = _read(path)
        network = Vgg19.of(looked_up(tensors) if "conv1_1.indices" in tensors else tensors)
    else:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as e:  # a pickle that is refused, cut short, or something else: all mean the same here
            raise WeightsError(f"{path.name} cannot be read as weights: give a torchvision state dict") from e
        if not isinstance(loaded, dict):
            raise WeightsError(f"{path.name} is no state dict: save `network.state_dict()`")
        network = Vgg19.of(loaded)
    network.digest = digest(path)
    return network


def random(seed: int = 0) -> Vgg19:
    """Random filters, labelled so: what architecture alone can do, and for tests."""
    network, generator = Vgg19(), torch.Generator().manual_seed(seed)
    for convolution in network.convolutions.values():
        assert isinstance(convolution, nn.Conv2d)
        spread = (2.0 / (9 * convolution.in_channels)) ** 0.5
        convolution.weight.data.normal_(0.0, spread, generator=generator)
        assert convolution.bias is not None
        convolution.bias.data.zero_()
    network.digest = f"random-{seed}"
    return network


def normalised(network: Vgg19, means: dict[str, Tensor]) -> Vgg19:
    """The same network with every filter divided by its mean activation: each answers 1 on average.

    means: layer -> (C,), over photos; below FLOOR of the layer's mean it is that floor. What a layer divides by, the
    next multiplies by, so that each activation is the plain one divided by its mean. Gatys 2015, section "Methods".
    """
    tensors, before = {}, torch.ones(3)
    for name in LAYERS:
        convolution = network.convolutions[name]
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None
        mean = means[name].clamp(min=FLOOR * float(means[name].mean()))
        tensors[f"{name}.weight"] = convolution.weight * (before[None, :] / mean[:, None])[..., None, None]
        tensors[f"{name}.bias"] = convolution.bias / mean
        before = mean
    made = Vgg19.of(tensors)
    made.means = network.means
    made.digest = f"{network.digest}-normalised"
    return made


def looked_up(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """From one byte a weight and a table of values to float32. Raises WeightsError."""
    found = {}
    try:
        for name in LAYERS:
            found[f"{name}.weight"] = tensors[f"{name}.values"][tensors[f"{name}.indices"].long()]
            found[f"{name}.bias"] = tensors[f"{name}.bias"]
    except (KeyError, IndexError) as e:
        raise WeightsError(f"the file is no VGG-19: {name}.values or {name}.indices is missing or damaged") from e
    return found


def known_activations(network: Vgg19) -> dict[str, float]:
    """The mean activation of each layer on a picture that a formula draws."""
    ramp = torch.linspace(0.0, 255.0, SAMPLE_SIDE)
    wave = 127.5 + 127.5 * torch.sin(torch.arange(SAMPLE_SIDE) / 3.0)
    picture = torch.stack((ramp.expand(SAMPLE_SIDE, -1), wave[:, None] * ramp / 255.0, wave.expand(SAMPLE_SIDE, -1)))
    with torch.no_grad():
        return {name: float(layer.mean()) for name, layer in network(picture[None], LAYERS).items()}


def digest(path: Path) -> str:
    """SHA-256 of a file of weights, its first 16 digits. Raises WeightsError where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as e:
        raise WeightsError(f"{path.name} cannot be read as weights: name a file of VGG-19") from e


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as e:
        raise WeightsError(f"{path.name} cannot be read as weights: install the distribution again") from e
