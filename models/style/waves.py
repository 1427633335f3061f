"""Files of sound and series of numbers, and the waveforms in them: decoded, checked, and written again."""

import csv
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from models.errors import TooLarge, UnreadableMedia

MOST_SECONDS, LEAST_SECONDS = 600.0, 0.25
RATES = (2_000, 192_000)
MOST_SAMPLES, LEAST_SAMPLES, MOST_COLUMNS = 4_000_000, 128, 16
NPY = b"\x93NUMPY"
# What limits peaks: the loudest that is written, and how many seconds it takes to give way and to come back.
CEILING, GIVES_WAY = 0.99, 0.005
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


def looks_like(content: bytes) -> bool:
    """Whether a file is sound (WAV, FLAC, OGG), or a series: npy of one or two dimensions, or CSV of numbers."""
    if content[:4] in (b"fLaC", b"OggS") or (content[:4] in (b"RIFF", b"RF64") and content[8:12] == b"WAVE"):
        return True
    if content.startswith(NPY):
        return 1 <= len(_shape(content)) <= 2
    lines = content[:4096].splitlines()[: -1 if len(content) > 4096 else None]
    return len(lines) > 2 and all(_numbers(line) for line in lines[1:]) and len(set(map(_commas, lines))) == 1


def decode(content: bytes) -> Wave:
    """What a file holds. Raises UnreadableMedia, and TooLarge for what lasts too long."""
    if not content:
        raise UnreadableMedia("The file is empty.")
    if content.startswith(NPY):
        return _checked(_of_npy(content))
    if content[:4] in (b"fLaC", b"OggS", b"RIFF", b"RF64"):
        return _checked(_of_sound(content))
    return _checked(_of_csv(content))


def encode(wave: Wave) -> tuple[bytes, str, str]:
    """(a file in the wave's form, its media type, its suffix). Sound: WAV of 16 bits, of 24 for what was finer."""
    out = io.BytesIO()
    if wave.form == "wav":
        assert wave.rate is not None
        samples = limited(wave.samples, wave.rate).T.numpy()
        soundfile.write(out, samples, wave.rate, wave.told.get("subtype", "PCM_16"), format="WAV")
        return out.getvalue(), *MEDIA["wav"]
    series = wave.samples.numpy().T.astype(np.float64)
    if wave.form == "npy":
        kind = np.dtype(wave.told["dtype"])
        np.save(out, series.reshape(wave.told["shape"]).astype(kind if kind.kind == "f" else np.float32))
        return out.getvalue(), *MEDIA["npy"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if wave.told["header"]:
        writer.writerow(wave.told["header"])
    times = wave.told["times"]
    for number, row in enumerate(series):
        writer.writerow([*([] if times is None else [times[number]]), *(f"{value:.6g}" for value in row)])
    return text.getvalue().encode(), *MEDIA["csv"]


MEDIA = {
    "wav": ("audio/wav", ".wav"),
    "csv": ("text/csv", ".csv"),
    "npy": ("application/octet-stream", ".npy"),
}


def limited(samples: Tensor, rate: int) -> Tensor:
    """No sample beyond CEILING: where it would be louder all channels give way together, and softly.

    The least gain that any sample within 5 ms needs, averaged over as long: never more than a sample may have.
    """
    peaks = samples.abs().amax(0, keepdim=True)
    if float(peaks.max()) <= CEILING:
        return samples
    needed = (CEILING / peaks.clamp(min=1e-9)).clamp(max=1.0)
    reach = max(1, round(GIVES_WAY * rate))
    least = -torch.nn.functional.max_pool1d(-needed, 2 * reach + 1, 1, padding=reach)
    padded = torch.nn.functional.pad(least[None], (reach, reach), mode="replicate")[0]
    gain = torch.nn.functional.avg_pool1d(padded, 2 * reach + 1, 1)
    return (samples * gain).clamp(-CEILING, CEILING)


def resampled(samples: Tensor, length: int) -> Tensor:
    """(channels, samples) -> (channels, length), by its spectrum: what the new rate cannot hold is left out."""
    before = samples.shape[-1]
    if before == length:
        return samples
    return torch.fft.irfft(torch.fft.rfft(samples), n=length) * (length / before)


def _of_sound(content: bytes) -> Wave:
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, channels = int(file.samplerate), int(file.channels)
            if not RATES[0] <= rate <= RATES[1]:
                raise UnreadableMedia(f"{rate} samples a second: {RATES[0]:,} to {RATES[1]:,} can be rendered.")
            if channels > 2:
                raise UnreadableMedia(f"The sound has {channels} channels: mono and stereo can be rendered.")
            most = round(MOST_SECONDS * rate)
            samples = file.read(most + 1, dtype="float32", always_2d=True)
            told = {"subtype": "PCM_24" if file.subtype in _FINE else "PCM_16"}
    except (soundfile.SoundFileError, RuntimeError, ValueError, OverflowError) as e:
        raise UnreadableMedia(f"The sound cannot be read: {e}") from e
    if len(samples) > most:
        raise TooLarge(f"The sound lasts more than {MOST_SECONDS / 60:.0f} minutes.", round(MOST_SECONDS))
    if len(samples) < LEAST_SECONDS * rate:
        raise UnreadableMedia(f"The sound lasts {len(samples) / rate:.2f} s: {LEAST_SECONDS} s is least.")
    return Wave(torch.from_numpy(samples.T.copy()), rate, "wav", told)


def _of_npy(content: bytes) -> Wave:
    shape = _shape(content)
    if not 1 <= len(shape) <= 2 or (len(shape) == 2 and shape[1] > MOST_COLUMNS):
        raise UnreadableMedia(f"A series is of shape (samples,) or (samples, columns to {MOST_COLUMNS}), not {shape}.")
    if shape[0] > MOST_SAMPLES:
        raise TooLarge(f"A series of {shape[0]:,} samples: {MOST_SAMPLES:,} is most.", MOST_SAMPLES)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        samples = array.reshape(shape[0], -1).astype(np.float32)
    except (ValueError, EOFError, TypeError, OSError) as e:
        raise UnreadableMedia(f"The series cannot be read: {e}") from e
    return _series(samples, "npy", {"dtype": array.dtype.str, "shape": list(shape)})


def _of_csv(content: bytes) -> Wave:
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if row]
        header = [] if rows and all(map(_is_number, rows[0])) else rows.pop(0)
        if len(rows) > MOST_SAMPLES:
            raise TooLarge(f"A series of {len(rows):,} samples: {MOST_SAMPLES:,} is most.", MOST_SAMPLES)
        values = np.array(rows, dtype=np.float64)
    except (ValueError, IndexError, csv.Error) as e:
        raise UnreadableMedia("The file is neither sound (WAV, FLAC, OGG) nor a series of numbers (CSV, npy).") from e
    times = None
    if values.ndim == 2 and values.shape[1] > 1 and len(values) > 2 and _is_time(values[:, 0]):
        times, values = [row[0] for row in rows], values[:, 1:]
    if values.ndim != 2 or values.shape[1] > MOST_COLUMNS:
        raise UnreadableMedia(f"A series has a row for each sample, and {MOST_COLUMNS} columns at most.")
    return _series(values.astype(np.float32), "csv", {"header": header, "times": times})


def _series(samples: "np.ndarray[Any, Any]", form: str, told: dict[str, Any]) -> Wave:
    if len(samples) < LEAST_SAMPLES:
        raise UnreadableMedia(f"The series has {len(samples)} samples: {LEAST_SAMPLES} is least.")
    return Wave(torch.from_numpy(samples.T.copy()), None, form, told)


def _checked(wave: Wave) -> Wave:
    if not bool(wave.samples.isfinite().all()):
        raise UnreadableMedia("There are samples that are not finite numbers.")
    centred = wave.samples if wave.rate else wave.samples - wave.samples.mean(1, keepdim=True)
    if float(centred.abs().max()) < 1e-6 * max(1e-3, float(wave.samples.abs().max())):
        raise UnreadableMedia("There is nothing but silence: nothing could be heard in it.")
    return wave


def _shape(content: bytes) -> tuple[int, ...]:
    """Of an npy file; () for what is none."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = read(file)
    except (ValueError, EOFError, OSError):
        return ()
    return tuple(int(length) for length in shape)


def _is_time(column: "np.ndarray[Any, Any]") -> bool:
    """Whether a column counts up evenly, to within what rounding leaves."""
    steps = np.diff(column)
    return bool(np.isfinite(steps).all() and (steps > 0).all() and np.ptp(steps) <= 0.05 * steps.mean())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(line: bytes) -> bool:
    return all(_is_number(part) for part in line.decode("latin-1").split(","))


def _commas(line: bytes) -> int:
    return line.count(b",")
