"""Style transfer as the known programs do it: one scale, pixels, PyTorch's default memory layout, torch's own L-BFGS.

What Onelook's engine is raced against (`benchmarks.style_speed`), written after Gatys' notebook; nothing of the engine
but the weights is used.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.style import perceptual
from models.style.vgg19 import LAYERS

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT = "conv4_2"


@dataclass
class Curve:
    """seconds and losses after each evaluation, and the picture at the end."""

    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    picture: Tensor | None = None


class PlainVgg(nn.Module):
    """The plain network: zeros around, maximum pooling, float32, channels first."""

    def __init__(self) -> None:
        super().__init__()
        shipped = perceptual.shipped()
        self.means = shipped.means
        self.convolutions = nn.ModuleDict()
        for name in LAYERS[: LAYERS.index("conv5_1") + 1]:
            source = shipped.convolutions[name]
            assert isinstance(source, nn.Conv2d)
            made = nn.Conv2d(source.in_channels, source.out_channels, 3, padding=1)
            made.weight.data = source.weight.detach().contiguous(memory_format=torch.contiguous_format).clone()
            assert made.bias is not None
            assert source.bias is not None
            made.bias.data = source.bias.detach().clone()
            self.convolutions[name] = made
        self.requires_grad_(False)

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        """Every activation by name."""
        x, found = picture - self.means, {}
        for name, convolution in self.convolutions.items():
            if name.endswith("_1") and name != "conv1_1":
                x = nn.functional.max_pool2d(x, 2)
            x = nn.functional.relu(convolution(x))
            found[name] = x
        return found


def gram(layer: Tensor) -> Tensor:
    """Mean Gram matrix."""
    rows = layer[0].flatten(1)
    mean: Tensor = rows @ rows.T / rows.shape[1]
    return mean


def cost(network: PlainVgg, content: Tensor, style: Tensor, alpha: float, beta: float) -> Callable[[Tensor], Tensor]:
    """J of a picture: alpha/2 |a(C) - a(G)|^2 + beta sum 1/5 1/(2 n_C)^2 |G(S) - G(G)|^2."""
    with torch.no_grad():
        target = network(content)[CONTENT]
        grams = {name: gram(layer) for name, layer in network(style).items() if name in STYLE}

    def total(picture: Tensor) -> Tensor:
        found: dict[str, Tensor] = network(picture)
        loss: Tensor = alpha * 0.5 * (found[CONTENT] - target).square().sum()
        for name in STYLE:
            share = beta * 0.2 / (4 * found[name].shape[1] ** 2)
            loss = loss + share * (gram(found[name]) - grams[name]).square().sum()
        return loss

    return total


def descend(
    total: Callable[[Tensor], Tensor],
    begin: Tensor,
    evaluations: int,
    *,
    pairs: int = 100,
    wolfe: bool = False,
    told: Callable[[int, float], object] = lambda number, loss: None,
) -> Curve:
    """From that picture by torch's L-BFGS; the curve is of every evaluation, seconds from the start of the first."""
    picture, curve = begin.clone().requires_grad_(), Curve()
    optimizer = torch.optim.LBFGS(
        [picture],
        max_iter=evaluations,
        max_eval=evaluations,
        history_size=pairs,
        tolerance_grad=-1,
        tolerance_change=-1,
        line_search_fn="strong_wolfe" if wolfe else None,
    )
    start = time.perf_counter()
    best = [float("inf")]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = total(picture)
        loss.backward()  # type: ignore[no-untyped-call]
        curve.seconds.append(time.perf_counter() - start)
        curve.losses.append(float(loss.detach()))
        if curve.losses[-1] < best[0]:
            best[0], curve.picture = curve.losses[-1], picture.detach().clone()
        told(len(curve.losses), curve.losses[-1])
        return loss

    while len(curve.losses) < evaluations:
        before = len(curve.losses)
        optimizer.param_groups[0]["max_eval"] = evaluations - before
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        if len(curve.losses) == before:
            break
    return curve


def lowest(losses: Sequence[float]) -> list[float]:
    """The lowest loss so far, at each evaluation."""
    found, least = [], float("inf")
    for loss in losses:
        least = min(least, loss)
        found.append(least)
    return found
