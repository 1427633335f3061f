"""Coloured points as the medium of a render: voxelised to canvases float32 (1, 3, *cells), the colours given back.

Only colours are rendered; every point stays where it is. Cells in which nothing lies ask for nothing (guided Gram
matrices), so that the grain is that of the surface and not of the air around it.
"""

from collections.abc import Sequence
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
from models.style import cloud, pyramid
from models.style.cloud import Cloud, looks_like
from models.style.grain import STRUCTURE, Grain
from models.style.gram import gram_sum
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.stage import Result, Scale, Stage
from models.style.textures import layer_of
from models.style.vgg19 import Precision

__all__ = ["Points", "looks_like", "open_points"]

WIDTHS, MORE_WIDTHS, FILTERS = (3, 5), (1, 3, 5, 7), 24
SIZE, LEAST_SIDE = 64, 8
BETA = 10.0  # for each cell in which something lies, alpha being 1
CELL_BYTES, FIXED_BYTES = 2400, 200 << 20


def open_points(content: bytes, styles: Sequence[bytes], options: Options, memory_bytes: int) -> "Points":
    """Decodes and settles everything. Raises UnreadableMedia, ImageError, InvalidOption, TooLarge."""
    points = cloud.decode(content)
    others = [cloud.decode(style) if looks_like(style) else decode_picture(style) for style in styles]
    return Points(points, others, _settled(options), memory_bytes)


class Points:
    """Fits `stage.Medium`. A style is another cloud, or a picture, seen as a sheet a few cells thick."""

    media_type, suffix = "application/octet-stream", ".ply"

    def __init__(self, content: Cloud, styles: Sequence[Cloud | Pixels], options: Options, memory_bytes: int) -> None:
        self._cloud, self._styles = content, styles
        size = options.size or SIZE
        self._grid = cloud.grid_of(content.places, float(np.ptp(content.places, axis=0).max()) / size, LEAST_SIDE)
        means, filled = self._grid.means(content.colours)
        self._means, self._filled = torch.from_numpy(means)[None], torch.from_numpy(filled)
        beta = options.beta if options.beta is not None else BETA * (options.alpha or 1.0) * float(filled.sum())
        self.options = replace(options, size=size, beta=beta)
        cells = int(np.prod(self._grid.space))
        self.memory_bytes = FIXED_BYTES + CELL_BYTES * cells + 64 * len(content.places)
        if self.memory_bytes > memory_bytes:
            fits = int(size * max(0.0, (memory_bytes - FIXED_BYTES) / (CELL_BYTES * cells)) ** (1 / 3))
            raise TooLarge(f"The render does not fit into {memory_bytes >> 20:,} MiB: size {fits} does.", fits)
        self._device = "cpu"

    def compute_in(self, precision: Precision, device: str) -> None:
        """Banks are always computed in float32."""
        self._device = device

    def scales(self) -> list[Scale]:
        """One: what is seen has several widths already."""
        return [Scale(self.options.steps, self._stage)]

    def preview(self, canvas: Tensor) -> tuple[bytes, str]:
        """A PNG of the cells seen along the three axes: the mean colour of those in which something lies."""
        shown, filled = canvas.detach().cpu()[0], self._filled
        views = []
        for axis in range(3):
            count = filled.sum(axis)
            mean = (shown * filled).sum(1 + axis) / count.clamp(min=1)
            views.append(torch.where(count > 0, mean, 255.0))
        tall = max(view.shape[1] for view in views)
        views = [torch.nn.functional.pad(view, (0, 0, 0, tall - view.shape[1]), value=255.0) for view in views]
        pixels = torch.cat(views, 2).clamp(0, 255).permute(1, 2, 0).to(torch.uint8).numpy()
        out = BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
        return out.getvalue(), "image/png"

    def result(self, canvas: Tensor) -> Result:
        """The PLY with new colours: each point keeps how it differed from the mean of its cell."""
        change = (canvas.detach().cpu().float().clamp(0, 255) - self._means)[0].numpy()
        a, b, c = self._grid.cells.T
        colours = self._cloud.colours + change[:, a, b, c].T
        content = cloud.encode(self._cloud, colours)
        return Result(content, self.media_type, self.suffix, {"points": len(colours), "cells": list(self._grid.space)})

    def canvas(self) -> Tensor:
        """The content's cells, as a render begins with them."""
        return self._means.clone()

    def grain(self) -> Grain:
        """What sees this render."""
        widths = [width for width in MORE_WIDTHS if layer_of(width) in (self.options.layers or {})]
        return Grain(3, widths, FILTERS)

    def mean_grams(self, canvas: Tensor, filled: Tensor) -> dict[str, Tensor]:
        """Layer -> mean Gram matrix over the cells in which something lies."""
        with torch.no_grad():
            found = self.grain()(canvas, list(self.options.layers or {}))
            return {name: gram_sum(layer, filled) / filled.sum() for name, layer in found.items()}

    def seen_style(self, number: int) -> tuple[Tensor, Tensor]:
        """(cells of a style, 1 where something lies): a cloud as finely as the content, a picture as a sheet."""
        style = self._styles[number]
        assert self.options.size is not None
        if isinstance(style, Cloud):
            step = float(np.ptp(style.places, axis=0).max()) / self.options.size
            means, filled = cloud.grid_of(style.places, step, LEAST_SIDE).means(style.colours)
            return torch.from_numpy(means)[None], torch.from_numpy(filled)
        picture = torch.from_numpy(style).permute(2, 0, 1)[None].float()
        factor = min(1.0, self.options.size / max(picture.shape[2:]))
        picture = pyramid.resized(picture, [max(LEAST_SIDE, round(x * factor)) for x in picture.shape[2:]])
        sheet = picture[:, :, None].expand(-1, -1, LEAST_SIDE, -1, -1).contiguous()
        return sheet, torch.ones(sheet.shape[2:])

    def _stage(self) -> Stage:
        options, grain, device = self.options, self.grain(), self._device
        content, filled = self._means.to(device), self._filled.to(device)
        with torch.no_grad():
            structure = grain(content, [STRUCTURE])[STRUCTURE]
        assert options.layers is not None
        assert options.beta is not None
        weights = options.style_weights or (1.0,) * len(self._styles)
        masks = dict.fromkeys([*options.layers, STRUCTURE], filled)
        styles = []
        for number, weight in enumerate(weights):
            seen, theirs = self.seen_style(number)
            styles.append(Style(self.mean_grams(seen.to(device), theirs.to(device)), weight / sum(weights), masks))
        terms = Terms(options.alpha, options.beta, options.layers, STRUCTURE, tv=options.tv)
        objective = Objective(grain, structure, styles, terms)
        return Stage(objective, partial(self._begin, content), partial(pyramid.resized, space=self._grid.space))

    def _begin(self, content: Tensor, before: Tensor | None) -> Tensor:
        if self.options.init == "noise":
            generator = torch.Generator().manual_seed(self.options.seed)
            return (127.5 + 40.0 * torch.randn(content.shape, generator=generator)).clamp(0, 255).to(content.device)
        return content.clone()


def _settled(options: Options) -> Options:
    refused = {
        "style_scales": (any(scale != 1 for scale in options.style_scales), "a style is seen as finely as the content"),
        "color": (options.color != "style", "it is for pictures"),
        "masks": (any(mask is not None for mask in options.masks), "masks are for pictures"),
        "loss_convention": (options.loss_convention != "gatys2015", "the others are programs for pictures"),
        "size": (options.size is not None and options.size > 512, "a grid has 512 cells along an axis at most"),
    }
    for name, (told, why) in refused.items():
        if told:
            raise InvalidOption(name, f"{name} cannot be given so for points: {why}.")
    names = tuple(layer_of(width) for width in MORE_WIDTHS)
    for name in options.layers or ():
        if name not in names:
            raise InvalidOption("layers", f"Points have no layer {name}: there are {', '.join(names)}.")
    layers = options.layers or {layer_of(width): 1.0 / len(WIDTHS) for width in WIDTHS}
    return replace(options, medium="points", layers=layers, optimizer=options.optimizer or "lbfgs")
