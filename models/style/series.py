"""Series of numbers, such as an ECG: npy and CSV to waveforms of unknown rate, and back."""

import csv
import io
from typing import Any

import numpy as np
import torch

from models.errors import TooLarge, UnreadableMedia
from models.style.sounds import Wave

MOST_SAMPLES, LEAST_SAMPLES, MOST_COLUMNS = 4_000_000, 128, 16
NPY = b"\x93NUMPY"


def decode_npy(content: bytes) -> Wave:
    """An array (samples,) or (samples, columns) of numbers. Raises UnreadableMedia, TooLarge."""
    shape = shape_of(content)
    if not 1 <= len(shape) <= 2 or (len(shape) == 2 and shape[1] > MOST_COLUMNS):
        raise UnreadableMedia(f"A series is of shape (samples,) or (samples, columns to {MOST_COLUMNS}), not {shape}.")
    if shape[0] > MOST_SAMPLES:
        raise TooLarge(f"A series of {shape[0]:,} samples: {MOST_SAMPLES:,} is most.", MOST_SAMPLES)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"it holds {array.dtype}, not numbers")
        samples = _single(array.reshape(len(array), -1))
    except (ValueError, EOFError, TypeError, OSError) as e:
        raise UnreadableMedia(f"The series cannot be read: {e}") from e
    return _series(samples, "npy", {"dtype": array.dtype.str, "shape": list(shape)})


def decode_csv(content: bytes) -> Wave:
    """A row a sample; a first row of names and a first column that counts time are kept as they are.

    Raises UnreadableMedia, TooLarge.
    """
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
    return _series(_single(values), "csv", {"header": header, "times": times})


def encode_npy(wave: Wave) -> bytes:
    """Of the content's shape and precision; whole numbers come back as float32."""
    kind = np.dtype(wave.told["dtype"])
    series = wave.samples.numpy().T.reshape(wave.told["shape"])
    out = io.BytesIO()
    np.save(out, series.astype(kind if kind.kind == "f" else np.float32))
    return out.getvalue()


def encode_csv(wave: Wave) -> bytes:
    """With the content's names and times, if it had any; six digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if wave.told["header"]:
        writer.writerow(wave.told["header"])
    times = wave.told["times"]
    for number, row in enumerate(wave.samples.T.tolist()):
        writer.writerow([*([] if times is None else [times[number]]), *(f"{value:.6g}" for value in row)])
    return text.getvalue().encode()


def shape_of(content: bytes) -> tuple[int, ...]:
    """Of an npy file; () for what is none."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = read(file)
    except (ValueError, EOFError, OSError):
        return ()
    return tuple(int(length) for length in shape)


def is_csv(content: bytes) -> bool:
    """Whether its first lines are numbers between commas, as many in each; the first line may be names."""
    lines = content[:4096].splitlines()[: -1 if len(content) > 4096 else None]
    return len(lines) > 2 and all(map(_numbers, lines[1:])) and len({line.count(b",") for line in lines}) == 1


def _series(samples: "np.ndarray[Any, Any]", form: str, told: dict[str, Any]) -> Wave:
    if len(samples) < LEAST_SAMPLES:
        raise UnreadableMedia(f"The series has {len(samples)} samples: {LEAST_SAMPLES} is least.")
    return Wave(torch.from_numpy(samples.T.copy()), None, form, told)


def _single(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """float32; what it cannot hold becomes infinite, and is refused as such."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


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
