"""Sound and series as the medium of a render: files to canvases float32 (1, channels, samples), and back.

A canvas is the waveform itself, scaled so that the content's RMS is `mel.LEVEL`; styles are as loud. The channels of
stereo are heard one by one with the same banks: each keeps its own envelope, and all follow one style.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import InvalidOption, TooLarge
from models.style import waves
from models.style.mel import ENVELOPE, LEVEL, Frames, Hearing, LogMel
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.sounds import Wave, resampled
from models.style.stage import Result, Scale, Stage
from models.style.textures import layer_of
from models.style.tiles import mean_grams
from models.style.vgg19 import Precision
from models.style.waves import looks_like

__all__ = ["Signal", "looks_like", "open_signal"]

# In frames; more may be asked for by `layers`.
WIDTHS, MORE_WIDTHS = (3, 11, 31), (1, 3, 5, 7, 11, 15, 21, 31, 63)
# beta for each value of the envelope, alpha being 1.
BETA = 10.0
# What a render takes, measured: bytes for a sample of the canvas, more for L-BFGS, for a sample of the longest style,
# for a value of a layer; and whatever the length.
BYTES, PAIRS_BYTES, STYLE_BYTES, VALUE_BYTES, FIXED_BYTES = 240, 280, 90, 24, 64 << 20
PREVIEW_SIZE = (1024, 256)


def open_signal(content: bytes, styles: Sequence[bytes], options: Options, memory_bytes: int) -> "Signal":
    """Decodes and settles everything. Raises UnreadableMedia, InvalidOption, TooLarge."""
    settled = _settled(options)
    most = memory_bytes // STYLE_BYTES
    wave, others = waves.decode(content, most), [waves.decode(style, most) for style in styles]
    for other in others:
        if (other.rate is None) != (wave.rate is None):
            raise InvalidOption("style", "Content and style are both sound, or both series.")
    return Signal(wave, others, settled, memory_bytes)


class Signal:
    """Fits `stage.Medium`. One scale: what is heard has several widths already."""

    def __init__(self, content: Wave, styles: Sequence[Wave], options: Options, memory_bytes: int) -> None:
        self._frames = Frames.of_series() if content.rate is None else Frames.of_sound(content.rate)
        self._wave, self._styles = content, styles
        self.media_type, self.suffix = waves.MEDIA[content.form]
        channels, samples = content.samples.shape
        self._mean = content.samples.mean(1, keepdim=True) if content.rate is None else torch.zeros(channels, 1)
        self._spread = _spreads(content.samples - self._mean, content.rate is None)
        values = channels * (1 + samples // self._frames.hop)
        self.options = options if options.beta is not None else replace(options, beta=_beta(options.alpha) * values)
        self.memory_bytes = self._estimate(channels * samples)
        if self.memory_bytes > memory_bytes:
            each = (self.memory_bytes - self._estimate(0)) / samples
            fits = int(max(0.0, memory_bytes - self._estimate(0)) / each / (content.rate or 1))
            unit = "seconds" if content.rate else "samples"
            raise TooLarge(f"The render does not fit into {memory_bytes >> 20:,} MiB: {fits} {unit} would.", fits)
        self._device = "cpu"

    def compute_in(self, precision: Precision, device: str) -> None:
        """Sound is always computed in float32."""
        self._device = device

    def scales(self) -> list[Scale]:
        """One."""
        return [Scale(self.options.steps, self._stage)]

    def preview(self, canvas: Tensor) -> tuple[bytes, str]:
        """A PNG: the spectrogram, time to the right, mel bands upwards, 60 dB from black to white."""
        decibels = 10.0 * (LogMel(self._frames).power(canvas.detach().cpu()[0].float()).mean(0) + 1e-6).log10()
        shown = (1.0 + (decibels - decibels.max()) / 60.0).clamp(0.0, 1.0)
        picture = Image.fromarray(_coloured(shown.flip(0).numpy())).resize(PREVIEW_SIZE, Image.Resampling.BILINEAR)
        out = BytesIO()
        picture.save(out, "PNG")
        return out.getvalue(), "image/png"

    def result(self, canvas: Tensor) -> Result:
        """A file in the content's rate, channels and form; sound that would clip is limited."""
        samples = canvas.detach().cpu()[0].float() * (self._spread / LEVEL) + self._mean
        facts = {"channels": samples.shape[0], "samples": samples.shape[1]}
        if self._wave.rate is not None:
            facts["rate"] = self._wave.rate
        content = waves.encode(replace(self._wave, samples=samples))
        return Result(content, self.media_type, self.suffix, facts)

    def canvas(self) -> Tensor:
        """The content, as a render begins with it and hears it."""
        return ((self._wave.samples - self._mean) * (LEVEL / self._spread))[None]

    def style_canvas(self, number: int) -> Tensor:
        """A style at the content's rate, and as loud as a canvas."""
        wave = self._styles[number]
        samples = wave.samples
        if wave.rate is None or self._wave.rate is None:
            samples = samples - samples.mean(1, keepdim=True)
        else:
            samples = resampled(samples, round(samples.shape[1] * self._wave.rate / wave.rate))
        return (samples * (LEVEL / _spreads(samples, wave.rate is None)))[None]

    def hearing(self) -> Hearing:
        """What hears this render: the same for every seed, as the shipped network is for pictures."""
        widths = [width for width in MORE_WIDTHS if layer_of(width) in (self.options.layers or {})]
        return Hearing(self._frames, widths)

    def _stage(self) -> Stage:
        options, hearing = self.options, self.hearing()
        assert options.layers is not None
        assert options.beta is not None
        content = self.canvas().to(self._device)
        with torch.no_grad():
            envelope = hearing(content, [ENVELOPE])[ENVELOPE]
        weights = options.style_weights or (1.0,) * len(self._styles)
        styles = [
            Style(
                mean_grams(hearing, self.style_canvas(number).to(self._device), list(options.layers)),
                weight / sum(weights),
            )
            for number, weight in enumerate(weights)
        ]
        objective = Objective(
            hearing, envelope, styles, Terms(options.alpha, options.beta, options.layers, ENVELOPE, tv=options.tv)
        )
        return Stage(objective, partial(self._begin, content), _unchanged)

    def _begin(self, content: Tensor, before: Tensor | None) -> Tensor:
        if before is not None:
            return before
        if self.options.init == "noise":
            generator = torch.Generator().manual_seed(self.options.seed)
            return (LEVEL * torch.randn(content.shape, generator=generator)).to(content.device)
        return content

    def _estimate(self, samples: int) -> int:
        """Bytes for so many samples of all channels, and for the styles."""
        hearing = self.hearing()
        heard = VALUE_BYTES * hearing.banks.filters * len(hearing.banks.layers) / self._frames.hop
        each = BYTES + (PAIRS_BYTES if self.options.optimizer == "lbfgs" else 0) + heard
        longest = max(style.samples.numel() * (self._wave.rate or 1) / (style.rate or 1) for style in self._styles)
        return FIXED_BYTES + math.ceil(samples * each + longest * (STYLE_BYTES + heard))


def _settled(options: Options) -> Options:
    refused = {
        "size": (options.size is not None, "sound has the content's length and rate"),
        "style_scales": (any(scale != 1 for scale in options.style_scales), "sound has no scale"),
        "color": (options.color != "style", "sound has no colours"),
        "masks": (any(mask is not None for mask in options.masks), "sound takes no masks"),
        "tv": (options.tv != 0, "total variation is for pictures and volumes"),
        "loss_convention": (options.loss_convention != "gatys2015", "the others are programs for pictures"),
    }
    for name, (told, why) in refused.items():
        if told:
            raise InvalidOption(name, f"{name} cannot be given for sound: {why}.")
    names = [layer_of(width) for width in MORE_WIDTHS]
    for name in options.layers or ():
        if name not in names:
            raise InvalidOption("layers", f"Sound has no layer {name}: there are {', '.join(names)}.")
    layers = options.layers or {layer_of(width): 1.0 / len(WIDTHS) for width in WIDTHS}
    return replace(options, medium="sound", layers=layers, optimizer=options.optimizer or "lbfgs")


def _beta(alpha: float) -> float:
    return BETA * alpha if alpha else BETA


def _spreads(samples: Tensor, each: bool) -> Tensor:
    """RMS (channels, 1): of each column of a series, of all channels of a sound together."""
    squares = samples.square().mean(1, keepdim=True)
    return (squares if each else squares.mean(0, keepdim=True)).sqrt().clamp(min=1e-9)


def _unchanged(kept: Tensor) -> Tensor:
    return kept


def _coloured(
    shown: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]",
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """0..1 -> from black over violet and orange to pale yellow, uint8 (..., 3)."""
    points = np.linspace(0, 1, 5)
    colours = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])
    return np.stack([np.interp(shown, points, colours[:, i]) for i in range(3)], -1).astype(np.uint8)
