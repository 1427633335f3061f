"""Volumes as the medium of a render: grids of voxels to canvases float32 (1, channels, depth, height, width), and back.

Texture by random banks of three dimensions over a pyramid, after Ustyuzhaninov et al. 2017 (`textures`); or by a
painting on slices (`slices`). A canvas is isotropic, whatever the file's spacing: a style is seen at the content's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import InvalidOption, TooLarge
from models.image import Pixels
from models.image import decode as decode_picture
from models.style import pyramid, voxels
from models.style.grain import STRUCTURE, Grain
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.slices import SlicedObjective
from models.style.stage import Evaluate, Result, Scale, Stage
from models.style.textures import layer_of
from models.style.tiles import TiledObjective, activations, mean_grams
from models.style.vgg19 import LAYERS, Precision, Vgg19
from models.style.voxels import Voxels, looks_like

__all__ = ["Volume", "looks_like", "open_volume"]

WIDTHS, MORE_WIDTHS, FILTERS = (3, 7), (1, 3, 5, 7, 9), 24
PAINTED = ("conv1_1", "conv2_1", "conv3_1")
SIZE, COARSEST, LEAST_SIDE = 96, 24, 16
# Intensities between these shares of all voxels become 0 to 255 of the canvas.
WINDOW = (0.002, 0.998)
# beta for each voxel, alpha being 1: of banks, and of slices through VGG-19.
BETA, BETA_PAINTED = 10.0, 1e-4
# Bytes for a voxel of the canvas with the pairs of L-BFGS, for one that an evaluation sees, and what is always there.
CANVAS_BYTES, SEEN_BYTES, FIXED_BYTES, PAINTED_BYTES = 300, 900, 200 << 20, 1500 << 20
SLABS = (96, 64, 48, 32, 24)


def open_volume(
    content: bytes, styles: Sequence[bytes], options: Options, perceive: Callable[[], Vgg19], memory_bytes: int
) -> "Volume":
    """Decodes and settles everything. Raises UnreadableMedia, UnsupportedMedia, ImageError, InvalidOption, TooLarge."""
    volume = voxels.decode(content)
    others = [voxels.decode(style) if looks_like(style) else decode_picture(style) for style in styles]
    painted = sum(not isinstance(other, Voxels) for other in others)
    if painted not in (0, len(others)):
        raise InvalidOption("style", "The styles of a volume are all volumes, or all pictures.")
    return Volume(volume, others, _settled(options, bool(painted)), perceive, memory_bytes)


class Volume:
    """Fits `stage.Medium`. The result has the content's grid, spacing, window and header."""

    def __init__(
        self,
        content: Voxels,
        styles: Sequence[Voxels | Pixels],
        options: Options,
        perceive: Callable[[], Vgg19],
        memory_bytes: int,
    ) -> None:
        self.media_type, self.suffix = voxels.MEDIA[content.form]
        self._file, self._styles, self._perceive = content, styles, perceive
        self._window = _window_of(content)
        shape = content.values.shape[1:]
        spacing = content.spacing if content.form == "nifti" else (1.0, 1.0, 1.0)
        extent = [length * step for length, step in zip(shape, spacing, strict=True)]
        size = options.size or min(SIZE, max(shape))
        self._step = max(extent) / size  # what one voxel of the canvas is wide, in the file's unit
        self._space = tuple(max(LEAST_SIDE, round(length / self._step)) for length in extent)
        count = int(np.prod(self._space))
        beta = options.beta
        if beta is None:
            beta = (BETA_PAINTED if self.painted else BETA) * (options.alpha or 1.0) * count
        self.options = replace(options, size=size, beta=beta)
        self._slab, self.memory_bytes = self._admitted(count, memory_bytes)
        self._precision: Precision = "float32"
        self._device = "cpu"

    @property
    def painted(self) -> bool:
        """Whether the styles are pictures."""
        return not isinstance(self._styles[0], Voxels)

    def compute_in(self, precision: Precision, device: str) -> None:
        """How VGG-19 computes, where it takes part; banks are float32."""
        self._precision, self._device = precision, device

    def scales(self) -> list[Scale]:
        """By factors of two up to the canvas's size."""
        sizes = pyramid.sizes(self._space, coarsest=COARSEST, multiple=LEAST_SIDE)
        steps = pyramid.shares(self.options.steps, len(sizes))
        return [Scale(count, partial(self._stage, space)) for space, count in zip(sizes, steps, strict=True)]

    def preview(self, canvas: Tensor) -> tuple[bytes, str]:
        """A PNG of the three planes through the middle: along depth, height and width."""
        shown = canvas.detach().cpu()[0].round().clamp(0, 255)
        planes = [shown.select(1 + axis, shown.shape[1 + axis] // 2) for axis in range(3)]
        tall = max(plane.shape[1] for plane in planes)
        sheet = torch.zeros(shown.shape[0], tall, sum(plane.shape[2] for plane in planes))
        left = 0
        for plane in planes:
            sheet[:, : plane.shape[1], left : left + plane.shape[2]] = plane
            left += plane.shape[2]
        pixels = sheet.expand(3, -1, -1).permute(1, 2, 0).to(torch.uint8).numpy()
        out = BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
        return out.getvalue(), "image/png"

    def result(self, canvas: Tensor) -> Result:
        """A file of the content's kind, on the content's own grid."""
        low, high = self._window
        values = pyramid.resized(canvas.detach().cpu().float().clamp(0, 255), self._file.values.shape[1:])[0]
        made = replace(self._file, values=(values / 255.0 * (high - low) + low).numpy())
        depth, height, width = self._file.values.shape[1:]
        facts = {"depth": depth, "height": height, "width": width, "rendered": list(self._space)}
        return Result(voxels.encode(made), self.media_type, self.suffix, facts)

    def canvas(self, space: Sequence[int] | None = None) -> Tensor:
        """The content, as a render begins with it."""
        return pyramid.resized(_windowed(self._file, self._window), space or self._space)

    def style_canvas(self, number: int, factor: float = 1.0) -> Tensor:
        """A volume at the content's spacing, through a window of its own; factor: of the scale to the last one."""
        style = self._styles[number]
        assert isinstance(style, Voxels)
        step = self._step / factor
        own = style.spacing if style.form == "nifti" and self._file.form == "nifti" else (1.0, 1.0, 1.0)
        # Without millimetres on both sides a voxel of one is a voxel of the other.
        step = step if self._file.form == "nifti" and style.form == "nifti" else max(1.0, 1.0 / factor)
        sides = [
            max(LEAST_SIDE, round(length * of / step)) for length, of in zip(style.values.shape[1:], own, strict=True)
        ]
        seen = pyramid.resized(_windowed(style, _window_of(style)), sides)
        channels = self._file.values.shape[0]
        return seen if seen.shape[1] == channels else seen.mean(1, keepdim=True).expand(-1, channels, -1, -1, -1)

    def grain(self) -> Grain:
        """What sees this render: the same filters for every seed."""
        widths = [width for width in MORE_WIDTHS if layer_of(width) in (self.options.layers or {})]
        return Grain(self._file.values.shape[0], widths, FILTERS)

    def _stage(self, space: tuple[int, ...]) -> Stage:
        options, grain = self.options, self.grain()
        content = self.canvas(space).to(self._device)
        seen = activations(grain, content, [STRUCTURE], 0)[STRUCTURE]
        assert options.layers is not None
        assert options.beta is not None
        share = float(np.prod(space)) / float(np.prod(self._space))
        terms = Terms(options.alpha, options.beta * share, options.layers, STRUCTURE, tv=options.tv)
        weights = options.style_weights or (1.0,) * len(self._styles)
        evaluate: Evaluate
        if self.painted:
            evaluate = self._sliced(grain, seen, terms, weights, space)
        else:
            factor = max(space) / max(self._space)
            styles = [
                Style(
                    mean_grams(grain, self.style_canvas(number, factor).to(self._device), list(options.layers)),
                    weight / sum(weights),
                )
                for number, weight in enumerate(weights)
            ]
            whole = Objective(grain, seen, styles, terms)
            evaluate = TiledObjective(whole, self._slab) if self._slab and max(space) > self._slab else whole
        return Stage(evaluate, partial(self._begin, content), partial(pyramid.resized, space=space), (0.0, 255.0))

    def _sliced(
        self, grain: Grain, seen: Tensor, terms: Terms, weights: Sequence[float], space: Sequence[int]
    ) -> SlicedObjective:
        network = self._perceive().configured(pooling="max", padding="replicate", precision=self._precision)
        network = network.to(self._device)
        styles = []
        for style, weight in zip(self._styles, weights, strict=True):
            assert isinstance(style, np.ndarray)
            picture = torch.from_numpy(style).permute(2, 0, 1)[None].float()
            if self._file.values.shape[0] == 1:
                picture = picture.mean(1, keepdim=True).expand(-1, 3, -1, -1)
            factor = max(LEAST_SIDE / min(picture.shape[2:]), min(1.0, max(space) / max(picture.shape[2:])))
            picture = pyramid.resized(picture, [round(length * factor) for length in picture.shape[2:]])
            styles.append(
                Style(mean_grams(network, picture.to(self._device), list(terms.layers)), weight / sum(weights))
            )
        return SlicedObjective(grain, seen, network, styles, terms, self.options.seed)

    def _begin(self, content: Tensor, before: Tensor | None) -> Tensor:
        if before is not None:
            # What the coarser canvas could not hold of the content comes back: there it is structure, not grain.
            coarse = pyramid.resized(content, before.shape[2:])
            lost = 0.0 if self.options.init == "noise" else content - pyramid.resized(coarse, content.shape[2:])
            return (pyramid.resized(before, content.shape[2:]) + lost).clamp(0, 255)
        if self.options.init == "noise":
            generator = torch.Generator().manual_seed(self.options.seed)
            return (127.5 + 40.0 * torch.randn(content.shape, generator=generator)).clamp(0, 255).to(content.device)
        return content

    def _admitted(self, count: int, memory_bytes: int) -> tuple[int, int]:
        """(side of the slabs, 0 for none; bytes at the peak). Raises TooLarge."""
        channels = self._file.values.shape[0]
        fixed = FIXED_BYTES + (PAINTED_BYTES if self.painted else 0) + 4 * self._file.values.size
        for slab in (0, *SLABS):
            seen = count if not slab else min(count, (slab + max(MORE_WIDTHS)) ** 3)
            needed = fixed + CANVAS_BYTES * channels * count + (0 if self.painted else SEEN_BYTES * seen)
            if needed <= memory_bytes:
                return slab, needed
        fits = int(max(self._space) * max(0.0, (memory_bytes - fixed) / (needed - fixed)) ** (1 / 3))
        raise TooLarge(f"The render does not fit into {memory_bytes >> 20:,} MiB: size {fits} does.", fits)


def _settled(options: Options, painted: bool) -> Options:
    refused = {
        "style_scales": (any(scale != 1 for scale in options.style_scales), "a style is seen at the content's spacing"),
        "color": (options.color != "style", "it is for pictures"),
        "masks": (any(mask is not None for mask in options.masks), "masks are for pictures"),
        "loss_convention": (options.loss_convention != "gatys2015", "the others are programs for pictures"),
        "optimizer": (painted and options.optimizer not in (None, "adam"), "slices by chance need adam"),
    }
    for name, (told, why) in refused.items():
        if told:
            raise InvalidOption(name, f"{name} cannot be given so for a volume: {why}.")
    names = LAYERS if painted else tuple(layer_of(width) for width in MORE_WIDTHS)
    for name in options.layers or ():
        if name not in names:
            raise InvalidOption("layers", f"Here is no layer {name}: there are {', '.join(names)}.")
    usual = PAINTED if painted else tuple(layer_of(width) for width in WIDTHS)
    layers = options.layers or dict.fromkeys(usual, 1.0 / len(usual))
    optimizer = options.optimizer or ("adam" if painted else "lbfgs")
    return replace(options, medium="volume", layers=layers, optimizer=optimizer)


def _window_of(volume: Voxels) -> tuple[float, float]:
    """Between which intensities the canvas is; colours keep 0 to 255."""
    if volume.form == "video" or volume.values.shape[0] == 3:
        return 0.0, 255.0
    values = volume.values[:, ::2, ::2, ::2] if volume.values.size > 8_000_000 else volume.values
    low, high = (float(np.quantile(values, share)) for share in WINDOW)
    if high - low <= 0:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def _windowed(volume: Voxels, window: tuple[float, float]) -> Tensor:
    low, high = window
    return ((torch.from_numpy(volume.values)[None] - low) / (high - low) * 255.0).clamp(0, 255)
