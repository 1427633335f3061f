"""Aligned crops of a data set, found once and kept on disk, so that one encoder after another reads the same ones.

The folder holds faces and so belongs outside the repository; its files are readable by their owner alone.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from models.measure.readings import FOUND, PhotoReading, Readings
from models.measure.sample import Floats, Vectors

# That of `models.image`, and below that of `models.face.align`: importing those loads Pillow and torch.
Pixels = NDArray[np.uint8]
CROP_PX = 144
SHAPE = (CROP_PX, CROP_PX, 3)
BYTES = CROP_PX * CROP_PX * 3
COLUMNS = ("path", "state", "checksum", "quality", "slot")


@dataclass(frozen=True, slots=True)
class CropReading:
    """One photo: FOUND with its crop uint8 (144, 144, 3), NO_FACE, or REFUSED; quality 0..1, 0 without a face.

    checksum: of the file that the photo, or what was made of it, came from.
    """

    state: int
    checksum: int
    quality: float = 0.0
    crop: Pixels | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Kept:
    state: int
    checksum: int
    quality: float
    slot: int


class Crops:
    """Crops by photo path. The pixels lie in one file, one behind the other; an index says whose they are."""

    def __init__(self, folder: Path) -> None:
        """Opens what the folder holds, nothing when there is none. Raises ValueError for a damaged index."""
        self._folder = folder
        self._kept = _read_index(folder / "index.npz")
        # What was appended by a run that ended before its index was written belongs to nobody.
        self._slots = 1 + max((kept.slot for kept in self._kept.values()), default=-1)
        self._new: list[Pixels] = []

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, path: str, reading: CropReading) -> None:
        """Keeps a reading, in place of an earlier one of that path; on disk after `save`."""
        slot = -1
        if reading.crop is not None:
            slot = self._slots + len(self._new)
            self._new.append(reading.crop)
        self._kept[path] = _Kept(reading.state, reading.checksum, reading.quality, slot)

    def save(self) -> None:
        """Writes what is new: the pixels first, then the index, so that a stop in between loses only what was new."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self._pixels, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
            out.seek(self._slots * BYTES)
            for crop in self._new:
                out.write(np.ascontiguousarray(crop).tobytes())
            out.flush()
            os.fsync(out.fileno())
        self._slots += len(self._new)
        self._new = []
        _write_index(self._folder / "index.npz", self._kept)

    def missing(self, checksums: Mapping[str, int]) -> list[str]:
        """Those paths that were not read, or were read from a file of another checksum."""
        return [p for p, held in checksums.items() if p not in self._kept or self._kept[p].checksum != held]

    def found(self, path: str) -> bool:
        """Whether that photo has a crop. Raises KeyError for one that was not read."""
        return self._kept[path].state == FOUND

    def checksum(self, path: str) -> int:
        """Of the file that was read. Raises KeyError for one that was not."""
        return self._kept[path].checksum

    def quality(self, paths: Sequence[str]) -> Floats:
        """Quality scores, float64 (n,), 0 where there is no face. Raises KeyError for a photo that was not read."""
        return np.array([self._kept[path].quality for path in paths], np.float64)

    def batches(self, paths: Sequence[str], size: int) -> Iterator[tuple[list[str], list[Pixels]]]:
        """The crops of those photos that have one, `size` at a time, with their paths. Only what was saved."""
        found = [path for path in paths if self.found(path)]
        if not found:
            return
        with self._pixels.open("rb") as held:
            for begin in range(0, len(found), size):
                some = found[begin : begin + size]
                yield some, [_crop(held, self._kept[path].slot) for path in some]

    def unread(self, readings: Readings, paths: Sequence[str]) -> list[str]:
        """Those photos of which the readings say nothing, or something of another file."""
        return [p for p in paths if p not in readings or readings[p].checksum != self._kept[p].checksum]

    def reading(self, path: str, vector: Vectors | None) -> PhotoReading:
        """What an encoder that made `vector` of the crop, None without one, has read of that photo."""
        kept = self._kept[path]
        return PhotoReading(kept.state, kept.checksum, vector)

    @property
    def _pixels(self) -> Path:
        return self._folder / "crops.bin"


def _crop(held: IO[bytes], slot: int) -> Pixels:
    held.seek(slot * BYTES)
    content = held.read(BYTES)
    if len(content) < BYTES:
        raise ValueError("the kept crops were cut short: delete their folder, or give --fresh")
    return np.frombuffer(content, np.uint8).reshape(SHAPE)


def _read_index(file: Path) -> dict[str, _Kept]:
    if not file.exists():
        return {}
    try:
        with file.open("rb") as archive, np.load(archive, allow_pickle=False) as held:
            columns = [held[name] for name in COLUMNS]
    except Exception as e:  # whatever a damaged archive makes of itself, the way out is the same
        raise ValueError(f"{file} cannot be read as an index of crops ({type(e).__name__}): delete its folder") from e
    rows = zip(*columns, strict=True)
    return {str(path): _Kept(int(s), int(checksum), float(q), int(slot)) for path, s, checksum, q, slot in rows}


def _write_index(file: Path, kept: Mapping[str, _Kept]) -> None:
    partial = file.with_name(f".{file.name}.part")
    rows = list(kept.values())
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        np.savez(
            out,
            path=np.array(list(kept), dtype=np.str_),
            state=np.array([row.state for row in rows], np.uint8),
            checksum=np.array([row.checksum for row in rows], np.uint32),
            quality=np.array([row.quality for row in rows], np.float32),
            slot=np.array([row.slot for row in rows], np.int64),
        )
    partial.replace(file)
