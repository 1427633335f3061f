"""What a model read from each photo of a data set, kept on disk so that a measurement can go on where it stopped.

The file holds embeddings and so belongs outside the repository; it is readable by its owner alone.
"""

import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.measure.sample import Sample, Vectors

DIMENSIONS = 128
FOUND, NO_FACE, REFUSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class PhotoReading:
    """One photo: FOUND with float32 (128,) of unit length, NO_FACE, or REFUSED; checksum: of the file's bytes."""

    state: int
    checksum: int
    vector: Vectors | None = field(default=None, repr=False)


class Readings:
    """Readings of one model by photo path."""

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self._by_path: dict[str, PhotoReading] = {}

    def __len__(self) -> int:
        return len(self._by_path)

    def __contains__(self, path: object) -> bool:
        return path in self._by_path

    def __getitem__(self, path: str) -> PhotoReading:
        return self._by_path[path]

    def put(self, path: str, reading: PhotoReading) -> None:
        """Keeps a reading, in place of an earlier one of that path."""
        self._by_path[path] = reading

    def missing(self, folder: Path, paths: Iterable[str]) -> list[str]:
        """Those photos that were not read, or whose file has changed since. Raises FileNotFoundError for no file."""
        return [path for path in paths if not self._holds(path, folder / path)]

    def count(self, paths: Iterable[str], state: int) -> int:
        """How many of these photos were read with that result."""
        return sum(self._by_path[path].state == state for path in paths)

    def sample(self, paths: Sequence[str], labels: Sequence[str]) -> Sample:
        """Those photos as a sample, photo i being paths[i]. Raises KeyError for one that was not read."""
        return Sample.of([self._by_path[path].vector for path in paths], labels)

    def save(self, file: Path) -> None:
        """Writes all readings, by way of a file beside it, so that a stop in between loses nothing."""
        file.parent.mkdir(parents=True, exist_ok=True)
        paths = sorted(self._by_path)
        readings = [self._by_path[path] for path in paths]
        nothing = np.zeros(DIMENSIONS, np.float32)
        partial = file.with_name(f".{file.name}.part")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            np.savez(
                out,
                model_id=np.array(self.model_id),
                path=np.array(paths, dtype=np.str_),
                state=np.array([r.state for r in readings], np.uint8),
                checksum=np.array([r.checksum for r in readings], np.uint32),
                vector=np.array([nothing if r.vector is None else r.vector for r in readings], np.float32),
            )
        partial.replace(file)

    @classmethod
    def load(cls, file: Path, model_id: str) -> "Readings":
        """The readings of that model in the file, none when there is no file.

        Raises ValueError when the file holds another model's readings, or is no such file.
        """
        readings = cls(model_id)
        if not file.exists():
            return readings
        try:
            with file.open("rb") as archive, np.load(archive, allow_pickle=False) as held:
                columns = {name: held[name] for name in ("model_id", "path", "state", "checksum", "vector")}
        except Exception as e:  # whatever a damaged archive makes of itself, the way out is the same
            raise ValueError(
                f"{file} cannot be read as readings ({type(e).__name__}): delete it, or name another"
            ) from e
        if str(columns["model_id"]) != model_id:
            raise ValueError(f"{file} holds the readings of another model than {model_id}: name another file")
        rows = zip(columns["path"], columns["state"], columns["checksum"], columns["vector"], strict=True)
        for path, state, checksum, vector in rows:
            readings.put(str(path), PhotoReading(int(state), int(checksum), vector if state == FOUND else None))
        return readings

    def _holds(self, path: str, file: Path) -> bool:
        held = self._by_path.get(path)
        return held is not None and held.checksum == checksum(file.read_bytes())


def checksum(content: bytes) -> int:
    """CRC-32 of a photo's bytes: it notices a changed photo, it does not protect against a forged one."""
    return zlib.crc32(content)
