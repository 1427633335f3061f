"""Clouds of coloured points: PLY files, and the grid of cells that they lie in."""

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from models.errors import TooLarge, UnreadableMedia

COLOURS = ("red", "green", "blue")
MOST_POINTS, LEAST_POINTS = 5_000_000, 8
MOST_HEADER = 1 << 16


@dataclass(frozen=True)
class Cloud:
    """places: float64 (n, 3); colours: float32 (n, 3), 0..255; file: all that was sent, to be written again."""

    places: NDArray[np.float64] = field(repr=False)
    colours: NDArray[np.float32] = field(repr=False)
    file: PlyData = field(repr=False)


@dataclass(frozen=True)
class Grid:
    """Where points lie. cells: int64 (n, 3), the cell of each point; space: cells along each axis."""

    cells: NDArray[np.int64] = field(repr=False)
    space: tuple[int, int, int]

    def means(self, colours: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(mean colour of each cell, float32 (3, *space), the cloud's own where nothing lies; float32 (*space): 1 where
        something does).
        """
        flat = np.ravel_multi_index(tuple(self.cells.T), self.space)
        counts = np.bincount(flat, minlength=int(np.prod(self.space))).astype(np.float64)
        sums = np.stack([np.bincount(flat, colours[:, i], len(counts)) for i in range(3)])
        filled = counts > 0
        mean = np.where(filled, sums / np.maximum(counts, 1), colours.mean(0)[:, None])
        return mean.reshape(3, *self.space).astype(np.float32), filled.reshape(self.space).astype(np.float32)


def looks_like(content: bytes) -> bool:
    """Whether that is a PLY file."""
    return content[:4] in (b"ply\n", b"ply\r")


def decode(content: bytes) -> Cloud:
    """The points. Raises UnreadableMedia, and TooLarge before points are read."""
    _admit(content)
    try:
        file = PlyData.read(io.BytesIO(content))
        vertex = file["vertex"]
        places = np.stack([np.asarray(vertex[name], np.float64) for name in ("x", "y", "z")], 1)
        colours = np.stack([np.asarray(vertex[name], np.float64) for name in COLOURS], 1)
    except (PlyParseError, ValueError, KeyError, OSError, MemoryError, IndexError) as e:
        raise UnreadableMedia("The file is no PLY of points x, y, z with red, green and blue, or is damaged.") from e
    if len(places) < LEAST_POINTS:
        raise UnreadableMedia(f"The cloud has {len(places)} points: {LEAST_POINTS} is least.")
    if not (np.isfinite(places).all() and np.isfinite(colours).all()):
        raise UnreadableMedia("The cloud holds values that are no numbers: remove those points first.")
    if not np.ptp(places, axis=0).max() > 0:
        raise UnreadableMedia("All points of the cloud lie in one place.")
    full = 255.0 / _full(vertex.data.dtype["red"])
    return Cloud(places, (colours * full).astype(np.float32), file)


def encode(cloud: Cloud, colours: NDArray[np.float32]) -> bytes:
    """The same file with these colours, float32 (n, 3), 0..255; every other property and element as it was."""
    old = cloud.file["vertex"]
    data = old.data.copy()
    for name, values in zip(COLOURS, colours.T, strict=True):
        kind = data.dtype[name]
        scaled = np.clip(values, 0, 255) * (_full(kind) / 255.0)
        data[name] = np.round(scaled).astype(kind) if np.issubdtype(kind, np.integer) else scaled
    vertex = PlyElement.describe(data, "vertex", comments=old.comments)
    elements = [vertex if element.name == "vertex" else element for element in cloud.file.elements]
    file = cloud.file
    out = io.BytesIO()
    PlyData(elements, text=file.text, byte_order=file.byte_order, comments=file.comments, obj_info=file.obj_info).write(
        out
    )
    return out.getvalue()


def grid_of(places: NDArray[np.float64], step: float, least: int) -> Grid:
    """Cells that are `step` wide, `least` along each axis at least."""
    low = places.min(0)
    extent = np.maximum(np.ceil(np.ptp(places, axis=0) / step).astype(np.int64), least)
    cells = np.clip(((places - low) / step).astype(np.int64), 0, extent - 1)
    return Grid(cells, (int(extent[0]), int(extent[1]), int(extent[2])))


def _admit(content: bytes) -> None:
    head = content[:MOST_HEADER].partition(b"end_header")[0]
    for line in head.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == b"element" and words[2].isdigit() and int(words[2]) > MOST_POINTS:
            raise TooLarge(f"The cloud has more than {MOST_POINTS:,} points: thin it out.", MOST_POINTS)


def _full(kind: "np.dtype[Any]") -> float:
    return float(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1.0
