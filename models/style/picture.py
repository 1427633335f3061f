"""Pictures as the medium of a render: files to canvases RGB float32 (1, 3, H, W), 0..255, and back."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from models.errors import InvalidOption, TooLarge
from models.image import Pixels, decode, opacity
from models.style import colour, memory, pyramid
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.stage import Evaluate, Result, Scale, Stage
from models.style.tiles import TiledObjective, activations, mean_grams
from models.style.vgg19 import LAYERS, Precision, Vgg19, stride

CONTENT_LAYER = "conv4_2"
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
SIZE, LEAST_SIDE = 512, 16
# beta at SIZE x SIZE pixels, alpha being 1: docs/style.md has what they look like.
BETAS = {"gatys2015": 1e4, "gatys_pytorch": 1e3, "johnson": 20.0}
NOISE_SPREAD = 30.0
PREVIEW_QUALITY = 88
# A render keeps within the colours that a screen has, and a little more, so that rounding costs nothing.
BOUNDS = (-20.0, 275.0)


def open_picture(
    content: bytes,
    styles: Sequence[bytes],
    options: Options,
    perceive: Callable[[], Vgg19],
    most_pixels: int,
    memory_bytes: int,
) -> "Picture":
    """Decodes and settles everything. Raises ImageError, InvalidOption, TooLarge."""
    read = partial(decode, max_bytes=1 << 40, max_pixels=most_pixels)
    pixels = read(content)
    pictures = [read(style) for style in styles]
    masks = [None if mask is None else read(mask) for mask in options.masks]
    for part, picture in (("content", pixels), *(("style", style) for style in pictures)):
        if min(picture.shape[:2]) < LEAST_SIDE:
            raise InvalidOption(
                part,
                f"A picture of {picture.shape[1]} x {picture.shape[0]} pixels shows nothing: {LEAST_SIDE} is least.",
            )
    settled = _settled(options, pixels)
    return Picture(pixels, opacity(content), pictures, masks, settled, perceive, memory_bytes)


class Picture:
    """Fits `stage.Medium`. The style is never enlarged beyond its own size; its longer side follows the render's."""

    media_type, suffix = "image/png", ".png"

    def __init__(
        self,
        content: Pixels,
        alpha: Pixels | None,
        styles: Sequence[Pixels],
        masks: Sequence[Pixels | None],
        options: Options,
        perceive: Callable[[], Vgg19],
        memory_bytes: int,
    ) -> None:
        self.options = options
        self._content, self._alpha, self._styles, self._masks = content, alpha, styles, masks
        self._perceive = perceive
        self._precision: Precision = "float32"
        self._device = "cpu"
        assert options.size is not None
        self._space = _scaled(content.shape[:2], options.size)
        tile = memory.tile_of(self._space, options.optimizer or "lbfgs", memory_bytes)
        if tile is None:
            fits = memory.largest(self._space, options.optimizer or "lbfgs", memory_bytes)
            raise TooLarge(
                f"A render of {self._space[1]} x {self._space[0]} pixels does not fit into {memory_bytes >> 20:,} MiB: "
                + (f"size {fits} does." if fits else "nothing of that shape does."),
                fits,
            )
        self._tile = tile
        self.memory_bytes = memory.of_picture(self._space, options.optimizer or "lbfgs", self._tile)

    def compute_in(self, precision: Precision, device: str) -> None:
        """How stages made from now on compute."""
        self._precision, self._device = precision, device

    def scales(self) -> list[Scale]:
        """By factors of two up to the size asked for."""
        sizes = pyramid.sizes(self._space, multiple=LEAST_SIDE)
        steps = pyramid.shares(self.options.steps, len(sizes))
        made = [(height, width, count) for (height, width), count in zip(sizes, steps, strict=True) if count]
        return [
            Scale(count, partial(self._stage, (height, width), number == 0))
            for number, (height, width, count) in enumerate(made)
        ]

    def preview(self, canvas: Tensor) -> tuple[bytes, str]:
        """A JPEG of the canvas, of the canvas's size."""
        out = BytesIO()
        Image.fromarray(self._finished(canvas)).save(out, "JPEG", quality=PREVIEW_QUALITY)
        return out.getvalue(), "image/jpeg"

    def result(self, canvas: Tensor) -> Result:
        """A PNG, with the content's transparency if it has any."""
        picture = Image.fromarray(self._finished(canvas))
        if self._alpha is not None:
            picture.putalpha(Image.fromarray(self._alpha).resize(picture.size, Image.Resampling.LANCZOS))
        out = BytesIO()
        picture.save(out, "PNG")
        return Result(out.getvalue(), self.media_type, self.suffix, {"width": picture.width, "height": picture.height})

    def _finished(self, canvas: Tensor) -> Pixels:
        shown = canvas.detach().cpu().round().clamp(0, 255)
        if self.options.color == "content":
            shown = colour.with_brightness_of(_tensor(self._content, shown.shape[2:]), shown)
        pixels: Pixels = shown[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
        return pixels

    def _stage(self, space: tuple[int, int], first: bool) -> Stage:
        device, options = self._device, self.options
        network = self._perceive().configured(pooling="max", padding="replicate", precision=self._precision).to(device)
        content = _tensor(self._content, space).to(device)
        styles = [self._style(number, space, content) for number in range(len(self._styles))]
        assert options.layers is not None
        assert options.beta is not None
        wanted = sorted({*options.layers, CONTENT_LAYER})
        seen = activations(network, content, [CONTENT_LAYER], self._tile)
        masks = self._layer_masks(space, wanted)
        weights = options.style_weights or (1.0,) * len(styles)
        terms = Terms(
            options.alpha,
            options.beta * self._share_of_beta(space),
            options.layers,
            CONTENT_LAYER,
            options.loss_convention,
            options.tv,
        )
        # A style that is larger than the picture is looked at in pieces that are not: memory was estimated for those.
        pieces = self._tile or max(memory.TILES[-1], *self._space)
        objective = Objective(
            network,
            seen[CONTENT_LAYER],
            [
                Style(mean_grams(network, style, list(options.layers), pieces), weight / sum(weights), mask)
                for style, weight, mask in zip(styles, weights, masks, strict=True)
            ],
            terms,
        )
        evaluate: Evaluate = TiledObjective(objective, self._tile) if self._tiled(space) else objective
        enlarge = partial(pyramid.resized, space=space)
        return Stage(evaluate, partial(self._begin, content, styles[0], first), enlarge, None)

    def _begin(self, content: Tensor, style: Tensor, first: bool, before: Tensor | None) -> Tensor:
        if before is not None:
            return pyramid.resized(before, content.shape[2:]).clamp(*BOUNDS)
        if self.options.init == "noise":
            generator = torch.Generator().manual_seed(self.options.seed)
            noise = torch.randn(content.shape, generator=generator).to(content.device)
            return (style.mean((2, 3), keepdim=True) + NOISE_SPREAD * noise).clamp(*BOUNDS)
        # A first look in the style's colours; a render of one scale begins with the content itself, as the books do.
        coarse = first and tuple(content.shape[2:]) != self._space
        return colour.matched(content, style).clamp(*BOUNDS) if coarse and self.options.color == "style" else content

    def _style(self, number: int, space: tuple[int, int], content: Tensor) -> Tensor:
        pixels = self._styles[number]
        scales = self.options.style_scales or (1.0,) * len(self._styles)
        own = pixels.shape[:2]
        # However it is scaled, its shorter side stays long enough for every layer.
        least = math.ceil(LEAST_SIDE * max(own) / min(own))
        longest = max(least, min(max(own), round(max(space) * scales[number])))
        style = _tensor(pixels, _scaled(own, longest)).to(content.device)
        return colour.matched(style, content) if self.options.color == "match" else style

    def _layer_masks(self, space: tuple[int, int], wanted: Sequence[str]) -> list[dict[str, Tensor] | None]:
        """A style without a mask applies everywhere; what is transparent in the content asks for nothing."""
        opaque = None if self._alpha is None else _grey(self._alpha, space)
        found: list[dict[str, Tensor] | None] = []
        for mask in self._masks or [None] * len(self._styles):
            if mask is None and opaque is None:
                found.append(None)
                continue
            where = torch.ones(space) if mask is None else _grey(mask.mean(axis=2).astype(np.uint8), space)
            where = where if opaque is None else where * opaque
            found.append({name: _at(where, stride(name)).to(self._device) for name in wanted})
        return found

    def _share_of_beta(self, space: tuple[int, int]) -> float:
        """Beta holds at the last scale; a sum over pixels shrinks with them, and the style's cost does not."""
        if self.options.loss_convention != "gatys2015":
            return 1.0
        return (space[0] * space[1]) / (self._space[0] * self._space[1])

    def _tiled(self, space: tuple[int, int]) -> bool:
        return self._tile > 0 and max(space) > self._tile


def _settled(options: Options, content: Pixels) -> Options:
    size = options.size or min(SIZE, max(content.shape[:2]))
    space = _scaled(content.shape[:2], size)
    if min(space) < LEAST_SIDE:
        raise InvalidOption("size", f"At size {size} the picture is {space[1]} x {space[0]}: {LEAST_SIDE} is least.")
    for name in options.layers or ():
        if name not in LAYERS:
            raise InvalidOption("layers", f"VGG-19 has no layer {name}: there are {', '.join(LAYERS)}.")
    layers = options.layers or dict.fromkeys(STYLE_LAYERS, 0.2 if options.loss_convention == "gatys2015" else 1.0)
    beta = options.beta
    if beta is None:
        beta = BETAS[options.loss_convention] * options.alpha if options.alpha else BETAS[options.loss_convention]
        if options.loss_convention == "gatys2015":
            beta *= space[0] * space[1] / SIZE**2
    return replace(
        options, medium="picture", size=size, beta=beta, layers=layers, optimizer=options.optimizer or "lbfgs"
    )


def _scaled(space: Sequence[int], longest: int) -> tuple[int, int]:
    factor = longest / max(space)
    return max(1, round(space[0] * factor)), max(1, round(space[1] * factor))


def _tensor(pixels: Pixels, space: Sequence[int]) -> Tensor:
    """uint8 (H, W, 3) -> float32 (1, 3, *space), 0..255."""
    picture = Image.fromarray(pixels)
    if (picture.height, picture.width) != tuple(space):
        picture = picture.resize((space[1], space[0]), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()


def _grey(pixels: Pixels, space: Sequence[int]) -> Tensor:
    picture = Image.fromarray(pixels).resize((space[1], space[0]), Image.Resampling.BOX)
    return torch.from_numpy(np.array(picture)).float() / 255.0


def _at(mask: Tensor, step: int) -> Tensor:
    """float32 (H, W) -> its means over squares of `step`, as many as the layer has positions."""
    return mask if step == 1 else F.avg_pool2d(mask[None, None], step)[0, 0]
