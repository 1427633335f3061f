"""A picture made to excite one unit: gradient ascent on pixels, the network being frozen.

Erhan, Bengio, Courville, Vincent: "Visualizing Higher-Layer Features of a Deep Network", 2009. Against the noise that
this finds by itself, after Olah, Mordvintsev, Schubert: "Feature Visualization", Distill 2017: the picture is made of
waves whose steps are in proportion to their length, it is shifted before each step, and its total variation costs.
"""

import numpy as np
import torch
from torch import Tensor

from models.explain.units import Units
from models.image import Pixels

STEPS = 48
RATE = 0.03
JITTER_PX = 4
VARIATION = 0.03
# How far from grey the pixels of the beginnings spread: the palest that excites the unit is taken.
BEGINNINGS = (0.1, 0.1, 0.3, 0.3, 1.0, 1.0, 2.0, 2.0)
# Of a wave's step, how it falls with the wave's frequency; 1 is that of photos.
FALL = 1.2
SPREAD = 10.0
# From independent channels to RGB as colours go together in photos (Olah et al. 2017): brightness varies most.
COLOURS = ((0.56, 0.19, 0.04), (0.58, 0.0, -0.11), (0.58, -0.19, 0.06))


def maximised(units: Units, layer: str, unit: int, *, seed: int = 0, steps: int = STEPS) -> Pixels:
    """What excites that unit, uint8 (reach, reach, 3): the same for the same seed, threads and machine.

    Begins with noise, the palest that excites it at all; a unit that none excites stays at noise.
    """
    generator = torch.Generator().manual_seed(seed)
    jitter = min(JITTER_PX, units.fields[layer].reach // 4)
    side = _side(units, layer, jitter)
    place = _middle(units, layer, side)
    waves = _beginning(units, layer, unit, side, place, generator).requires_grad_()
    optimizer = torch.optim.Adam([waves], RATE)
    for _ in range(steps):
        shift = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
        canvas = _canvas(waves, side)
        seen = units(torch.roll(canvas, shift, (2, 3)), [layer])[layer][0, unit]
        # The logarithm: a step is worth the same whether a layer answers in hundreds or in tenths.
        lively = torch.log(1e-3 + seen[place].clamp(min=0) + 0.05 * seen.clamp(min=0).mean())
        cost = VARIATION * _variation(canvas) - lively
        optimizer.zero_grad()
        cost.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _shown(units, layer, _canvas(waves.detach(), side), place)


def _side(units: Units, layer: str, jitter: int) -> int:
    """Of a canvas in which a unit in the middle sees nothing but the canvas, shifted or not; even, for its waves."""
    field = units.fields[layer]
    # Whole steps: what lies beyond the last one is cut off by pooling.
    steps = -(-(field.reach + 2 * jitter) // field.stride) + 1
    return max(2 * field.stride, steps * field.stride + steps * field.stride % 2)


def _middle(units: Units, layer: str, side: int) -> tuple[int, int]:
    """The position whose field lies nearest to the middle of the canvas."""
    field = units.fields[layer]
    position = max(0, round((side / 2 - field.reach / 2 - field.start) / field.stride))
    return position, position


def _beginning(
    units: Units, layer: str, unit: int, side: int, place: tuple[int, int], generator: torch.Generator
) -> Tensor:
    waves = torch.zeros(1, 3, side, side // 2 + 1, 2)
    for spread in BEGINNINGS:
        waves = spread * torch.randn(waves.shape, generator=generator)
        with torch.no_grad():
            seen = units(_canvas(waves, side), [layer])[layer][0, unit]
        # Anywhere will do: the ascent carries what excites it to the middle.
        if seen[place] > 0 or seen.mean() > 0:
            break
    return waves


def _canvas(waves: Tensor, side: int) -> Tensor:
    """Waves (1, 3, side, side / 2 + 1, 2) -> pixels (1, 3, side, side), 0..255: long waves take the longest steps."""
    rows, columns = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None, :]
    scale = torch.sqrt(rows**2 + columns**2).clamp(min=1 / side) ** -FALL
    # Canvases of any size vary alike: a small one has few waves to do it with.
    scale = SPREAD * scale / scale.square().mean().sqrt()
    pixels = torch.fft.irfft2(torch.view_as_complex(waves) * scale, s=(side, side), norm="ortho")
    return 255 * torch.sigmoid(torch.einsum("rc,nchw->nrhw", torch.tensor(COLOURS), pixels) / 2)


def _variation(canvas: Tensor) -> Tensor:
    """Mean absolute difference between neighbours, in levels of 255."""
    return canvas.diff(dim=2).abs().mean() + canvas.diff(dim=3).abs().mean()


def _shown(units: Units, layer: str, canvas: Tensor, place: tuple[int, int]) -> Pixels:
    (top, bottom), (left, right) = (units.fields[layer].seen(one) for one in place)
    pixels = canvas[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return np.ascontiguousarray(pixels[top:bottom, left:right])
