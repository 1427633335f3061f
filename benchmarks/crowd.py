"""A gallery of any size to search in: real people, and others made up after them, with several templates each."""

import math
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from app.cli.evaluate import CACHES
from app.cli.photos import read_photos, serving_reader
from app.domain.face import Vector
from app.index.vectors import DIMENSIONS
from app.inference.encoders import wanted_model
from app.settings import Settings
from models.measure.lfw import person_of, read_protocol
from models.measure.readings import FOUND

TEMPLATES_A_PERSON = 4
PROBES_A_PERSON = 2
# About the similarity of two templates of one person; each has noise of its own, alike in all directions.
WITHIN = 0.7
# Rows made at a time, so that a million take no more memory than they need.
PIECE = 100_000


@dataclass(frozen=True, slots=True)
class Faces:
    """Embeddings, float32 (n, 128) of unit length, and whose they are, int64 (n,)."""

    vectors: Vector = field(repr=False)
    owners: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.owners)


@dataclass(frozen=True, slots=True)
class Directions:
    """Where faces lie: the mean (128,) of embeddings, and a root (128, 128) of their covariance; float32."""

    mean: Vector
    root: Vector

    @classmethod
    def after(cls, vectors: Vector) -> "Directions":
        """As these float32 (n, 128) lie."""
        root = np.linalg.cholesky(np.cov(vectors.T) + 1e-7 * np.eye(DIMENSIONS))
        return cls(vectors.mean(axis=0).astype(np.float32), root.astype(np.float32))

    @classmethod
    def anywhere(cls) -> "Directions":
        """All directions alike."""
        return cls(np.zeros(DIMENSIONS, np.float32), np.eye(DIMENSIONS, dtype=np.float32))

    def draw(self, n: int, chance: np.random.Generator) -> Vector:
        """float32 (n, 128) of unit length."""
        return _unit(chance.standard_normal((n, DIMENSIONS), dtype=np.float32) @ self.root.T + self.mean)


def real_faces(data: Path, photos: int) -> tuple[Faces, Faces] | None:
    """(templates, probes) from so many photos of people of LFW who have two and more; None without the data.

    They are read through the path that serves, and kept where `onelook evaluate` keeps its readings.
    """
    if not (data / "people.txt").exists():
        return None
    settings, protocol = Settings(), read_protocol(data)
    model_id = wanted_model(settings)
    paths = protocol.photos(frozenset(name for name, count in protocol.photos_of.items() if count > 1))[:photos]
    opener = serving_reader(settings, flip=settings.flip_averaging)
    readings = read_photos(data, paths, CACHES / f"{model_id}.npz", model_id, opener, Console(stderr=True))
    found = [path for path in paths if readings[path].state == FOUND]
    templates, probes = _parted(found)
    people = {name: number for number, name in enumerate(dict.fromkeys(map(person_of, found)))}

    def faces(of: list[str]) -> Faces:
        vectors = [vector for path in of if (vector := readings[path].vector) is not None]
        return Faces(np.stack(vectors), np.array([people[person_of(path)] for path in of], np.int64))

    return faces(templates), faces(probes)


def crowd(n: int, real: Faces | None, directions: Directions, seed: int = 11) -> Faces:
    """So many templates: the real ones, but no more than half, and of people drawn from those directions."""
    chance = np.random.default_rng(seed)
    kept = min(len(real), n // 2) if real else 0
    vectors, owners = np.empty((n, DIMENSIONS), np.float32), np.empty(n, np.int64)
    if real:
        vectors[:kept], owners[:kept] = real.vectors[:kept], real.owners[:kept]
    first = int(owners[:kept].max(initial=-1)) + 1
    owners[kept:] = first + np.arange(n - kept) // TEMPLATES_A_PERSON
    centres = directions.draw(-(-(n - kept) // TEMPLATES_A_PERSON), chance)
    for begin in range(kept, n, PIECE):
        end = min(begin + PIECE, n)
        noise = chance.standard_normal((end - begin, DIMENSIONS), dtype=np.float32)
        noise *= math.sqrt((1 - WITHIN) / WITHIN / DIMENSIONS)
        vectors[begin:end] = _unit(centres[owners[begin:end] - first] + noise)
    return Faces(vectors, owners)


def probes_near(faces: Faces, similarity: tuple[float, float], n: int, directions: Directions, seed: int) -> Vector:
    """float32 (n, 128): each as similar to some template as said, and in what else it has like somebody else's face."""
    chance = np.random.default_rng(seed)
    rows = faces.vectors[chance.choice(len(faces), n)]
    aside = directions.draw(n, chance)
    aside = _unit(aside - np.sum(aside * rows, axis=1, keepdims=True) * rows)
    to = chance.uniform(*similarity, (n, 1)).astype(np.float32)
    return _unit(to * rows + np.sqrt(1 - to**2) * aside)


def _parted(paths: list[str]) -> tuple[list[str], list[str]]:
    """Of each person the last photos, two at most and half at most, for the probes; the first few for the gallery."""
    templates: list[str] = []
    probes: list[str] = []
    for _, group in groupby(paths, person_of):
        own = list(group)
        asked = min(PROBES_A_PERSON, len(own) // 2)
        templates.extend(own[: min(TEMPLATES_A_PERSON, len(own) - asked)])
        probes.extend(own[len(own) - asked :])
    return templates, probes


def _unit(rows: NDArray[np.floating]) -> Vector:
    unit: Vector = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32, copy=False)
    return unit
