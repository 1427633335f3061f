"""Sound: WAV, FLAC and OGG to waveforms, and waveforms to WAV."""

import io
from dataclasses import dataclass, field
from typing import Any

import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F

from models.errors import TooLarge, UnreadableMedia

MOST_SECONDS, LEAST_SECONDS = 600.0, 0.25
RATES = (2_000, 192_000)
# What limits peaks: the loudest that is written, and how many seconds it takes to give way and to come back.
CEILING, GIVES_WAY = 0.99, 0.005
MAGIC = (b"fLaC", b"OggS", b"RIFF", b"RF64")
_FINE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Wave:
    """samples: float32 (channels, samples); rate: samples a second, None: a series, of which nobody knows it.

    form: `wav`, `csv` or `npy`, what it is written as; told: what else the file needs to come back as it was.
    """

    samples: Tensor
    rate: int | None
    form: str
    told: dict[str, Any] = field(default_factory=dict)


def decode_sound(content: bytes, most: int) -> Wave:
    """Mono or stereo, of any usual rate. Raises UnreadableMedia, and TooLarge for what lasts too long.

    most: samples of all channels together that there is memory for.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, channels = int(file.samplerate), int(file.channels)
            if not RATES[0] <= rate <= RATES[1]:
                raise UnreadableMedia(f"{rate} samples a second: {RATES[0]:,} to {RATES[1]:,} can be rendered.")
            if channels > 2:
                raise UnreadableMedia(f"The sound has {channels} channels: mono and stereo can be rendered.")
            length = min(round(MOST_SECONDS * rate), most // channels)
            samples = file.read(length + 1, dtype="float32", always_2d=True)
            told = {"subtype": "PCM_24" if file.subtype in _FINE else "PCM_16"}
    except (soundfile.SoundFileError, RuntimeError, ValueError, OverflowError) as e:
        raise UnreadableMedia(f"The sound cannot be read: {e}") from e
    if len(samples) > length:
        raise TooLarge(f"The sound lasts more than {length / rate:.1f} s, which is most here.", length // rate)
    if len(samples) < LEAST_SECONDS * rate:
        raise UnreadableMedia(f"The sound lasts {len(samples) / rate:.2f} s: {LEAST_SECONDS} s is least.")
    return Wave(torch.from_numpy(samples.T.copy()), rate, "wav", told)


def encode_wav(wave: Wave) -> bytes:
    """A WAV file of 16 bits, of 24 for what came finer; what would clip is limited."""
    assert wave.rate is not None
    out = io.BytesIO()
    samples = limited(wave.samples, wave.rate).T.numpy()
    soundfile.write(out, samples, wave.rate, wave.told["subtype"], format="WAV")
    return out.getvalue()


def limited(samples: Tensor, rate: int) -> Tensor:
    """No sample beyond CEILING: where it would be louder all channels give way together, and softly.

    The least gain that any sample within 5 ms needs, averaged over as long: never more than a sample may have.
    """
    peaks = samples.abs().amax(0, keepdim=True)
    if float(peaks.max()) <= CEILING:
        return samples
    needed = (CEILING / peaks.clamp(min=1e-9)).clamp(max=1.0)
    reach = max(1, round(GIVES_WAY * rate))
    least = -F.max_pool1d(-needed, 2 * reach + 1, 1, padding=reach)
    padded = F.pad(least[None], (reach, reach), mode="replicate")[0]
    gain = F.avg_pool1d(padded, 2 * reach + 1, 1)
    return (samples * gain).clamp(-CEILING, CEILING)


def resampled(samples: Tensor, length: int) -> Tensor:
    """(channels, samples) -> (channels, length), by its spectrum: what the new rate cannot hold is left out."""
    before = samples.shape[-1]
    if before == length:
        return samples
    found: Tensor = torch.fft.irfft(torch.fft.rfft(samples), n=length)
    return found * (length / before)
