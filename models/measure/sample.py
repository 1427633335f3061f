"""Labelled photos as vectors: what every statistic starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Vectors = NDArray[np.float32]

# The similarity of a photo without a face: below every threshold, so a miss as genuine and no match as impostor.
NO_FACE = -np.inf


@dataclass(frozen=True, slots=True)
class Sample:
    """n photos of `persons` people.

    vectors: float32 (n, d), rows of unit length, a row of zeros where no face was found; found: bool (n,);
    person: int (n,), 0 .. persons - 1; persons may be more than have a face.
    """

    vectors: Vectors = field(repr=False)
    found: Bools = field(repr=False)
    person: Ints = field(repr=False)
    persons: int

    @classmethod
    def of(cls, embeddings: Sequence[Vectors | None], labels: Sequence[str]) -> Self:
        """From one embedding, or None for a missing face, and one label a photo; people are numbered by label.

        Raises ValueError when the lengths differ, when nothing was found at all, or when a row is not of unit length.
        """
        if len(embeddings) != len(labels):
            raise ValueError(f"{len(embeddings)} embeddings and {len(labels)} labels: one of each a photo is needed")
        size = next((e.shape[0] for e in embeddings if e is not None), None)
        if size is None:
            raise ValueError("no photo of the sample has a face")
        nothing = np.zeros(size, np.float32)
        vectors = np.stack([nothing if e is None else e for e in embeddings]).astype(np.float32, copy=False)
        found = np.array([e is not None for e in embeddings])
        lengths = np.linalg.norm(vectors[found].astype(np.float64), axis=1)
        if not np.allclose(lengths, 1.0, atol=1e-3):
            raise ValueError("the embeddings are not of unit length: normalise them first")
        names, person = np.unique(np.array(labels), return_inverse=True)
        return cls(vectors, found, person.astype(np.int64), len(names))

    def __len__(self) -> int:
        return len(self.person)

    def part(self, photos: Ints) -> "Sample":
        """Those photos alone, their people numbered afresh in the same order."""
        people, person = np.unique(self.person[photos], return_inverse=True)
        return Sample(self.vectors[photos], self.found[photos], person.astype(np.int64), len(people))

    def photos_each(self) -> Ints:
        """Photos of each person, those without a face included, int (persons,)."""
        return np.bincount(self.person, minlength=self.persons).astype(np.int64)

    def by_person(self) -> tuple[Ints, Ints]:
        """(order, start): photo numbers sorted by person, and where each person's begin in them; start has one more."""
        order = np.argsort(self.person, kind="stable").astype(np.int64)
        return order, np.concatenate([[0], np.cumsum(self.photos_each())]).astype(np.int64)

    def similarities(self, left: Ints, right: Ints) -> Floats:
        """float64 (m,): the similarity of each photo of `left` to that of `right`, NO_FACE where either has no face."""
        scores: Floats = np.einsum("nd,nd->n", self.vectors[left], self.vectors[right]).astype(np.float64)
        scores[~(self.found[left] & self.found[right])] = NO_FACE
        return scores
