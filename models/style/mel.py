"""Sound as a network sees it: log-mel frames of a waveform, their envelope, and banks of random filters over them.

Ulyanov and Lebedev, "Audio texture synthesis and style transfer", 2016: a random convolution along time, frequencies
being channels, over log(1 + spectrogram); the spectrogram was optimised, and phases guessed by Griffin and Lim's way,
which leaves artefacts. Here the waveform is optimised through a differentiable STFT, as by Mital, "Time Domain Neural
Audio Style Transfer", 2017, so there is nothing to guess. Several widths: Antognini, Hoffman, Weiss, 2018.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.style.textures import RandomBanks

ENVELOPE = "envelope"
# RMS of a canvas; and what is as loud as this share of it has power 1: 40 dB below.
LEVEL, FLOOR = 32.0, 1e-2


@dataclass(frozen=True)
class Frames:
    """How a waveform is cut. rate: samples a second; window, hop, smooth: samples, samples, frames; bands: of mel."""

    rate: int
    window: int
    hop: int
    bands: int
    smooth: int

    @classmethod
    def of_sound(cls, rate: int) -> "Frames":
        """Windows of about 46 ms every 12 ms, 80 bands, envelopes of 50 ms."""
        window = 1 << round(math.log2(0.046 * rate))
        hop = window // 4
        return cls(rate, window, hop, min(80, window // 8), max(1, round(0.05 * rate / hop)))

    @classmethod
    def of_series(cls) -> "Frames":
        """For samples of which nobody knows the rate: at 500 a second the mel scale is nearly even."""
        return cls(500, 64, 16, 24, 4)


class LogMel:
    """Waveforms (channels, samples) to log-mel frames (channels, bands, 1 + samples // hop); differentiable."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        window = torch.hann_window(frames.window, dtype=torch.float64)
        self._window = window / window.square().sum().sqrt()  # noise is as loud in a bin as in the waveform
        self._filters = filters(frames)

    def __call__(self, waves: Tensor) -> Tensor:
        """1/2 log(1 + power): smooth in silence, and log magnitude above the floor; in the waveform's precision."""
        return compressed(self.power(waves))

    def power(self, waves: Tensor) -> Tensor:
        """Mean power in each band, in units of the floor's: (channels, bands, frames)."""
        spectrum = torch.stft(
            waves / (LEVEL * FLOOR),
            self.frames.window,
            self.frames.hop,
            window=self._window.to(waves),
            pad_mode="constant",
            return_complex=True,
        )
        return self._filters.to(waves) @ torch.view_as_real(spectrum).square().sum(-1)


class Hearing:
    """Fits `stage.Network` for canvases (1, channels, samples): `envelope`, and the layers of its banks.

    Layers are (1, filters, channels, frames): every channel is heard by itself, with the same filters, and a Gram
    matrix is taken over all of them, so that sound in mono and in stereo can be each other's style. `envelope` is
    (1, 1, channels, frames): how loud all bands together are, on the logarithmic scale, over about 50 ms.
    """

    def __init__(self, frames: Frames, widths: Sequence[int], *, filters: int = 64, seed: int = 0) -> None:
        self.mel, self.banks = LogMel(frames), RandomBanks(frames.bands, widths, filters=filters, seed=seed)
        self.digest = f"hearing-{frames}-{self.banks.digest}"

    def __call__(self, canvas: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Layer -> activations, in the canvas's precision."""
        power = self.mel.power(canvas[0])
        seen = self.banks(compressed(power), wanted)
        found = {name: layer.movedim(0, 1)[None] for name, layer in seen.items()}
        if ENVELOPE in wanted:
            found[ENVELOPE] = self._envelope(power)
        return found

    def stride(self, layer: str) -> int:
        """Samples from one frame to the next."""
        return self.mel.frames.hop

    def reach(self, layer: str) -> int:
        """Samples that a position sees."""
        frames = self.mel.frames
        width = frames.smooth if layer == ENVELOPE else self.banks.reach(layer)
        return frames.window + (width - 1) * frames.hop

    def _envelope(self, power: Tensor) -> Tensor:
        smooth = self.mel.frames.smooth
        padded = F.pad(power.mean(1, keepdim=True), ((smooth - 1) // 2, smooth // 2), mode="replicate")
        return compressed(F.avg_pool1d(padded, smooth, 1)).movedim(0, 1)[None]


def compressed(power: Tensor) -> Tensor:
    """1/2 log(1 + power)."""
    return 0.5 * torch.log1p(power)


def filters(frames: Frames) -> Tensor:
    """float64 (bands, window // 2 + 1): triangles evenly spaced on the mel scale, each summing to 1; 0 Hz is in none.

    mel = 2595 log10(1 + f / 700), O'Shaughnessy 1987. A band narrower than a bin takes its nearest bin.
    """
    bins = torch.linspace(0, frames.rate / 2, frames.window // 2 + 1, dtype=torch.float64)
    step = float(bins[1])
    mels = torch.linspace(_mel(step / 2), _mel(frames.rate / 2), frames.bands + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    # At least a bin to either side.
    rising = (bins - torch.minimum(low, middle - step)) / torch.maximum(middle - low, torch.tensor(step))
    falling = (torch.maximum(high, middle + step) - bins) / torch.maximum(high - middle, torch.tensor(step))
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    triangles[:, 0] = 0.0
    return triangles / triangles.sum(1, keepdim=True)


def _mel(frequency: float) -> float:
    return 2595.0 * math.log10(1.0 + frequency / 700.0)
