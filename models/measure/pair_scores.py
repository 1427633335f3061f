"""How similar the photos of one person are, and those of two: two histograms in which people weigh the same."""

from dataclasses import dataclass, field

import numpy as np

from models.measure.sample import Floats, Ints, Sample, Vectors

CELLS = 2000
MIDDLES: Floats = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True)
class PairScores:
    """Weights over 2,000 equal cells of similarity from -1 to 1, MIDDLES their middles.

    genuine, impostor: float64 (cells,), the sum of each 1, or 0 without such pairs; twice: people with two photos that
    have a face; people: with one at least; genuine_pairs, impostor_pairs: pairs of photos. Photos without a face are
    in no pair: they have no similarity that could be told from another.
    """

    genuine: Floats = field(repr=False)
    impostor: Floats = field(repr=False)
    twice: int
    people: int
    genuine_pairs: int
    impostor_pairs: int

    @property
    def pairs_of_people(self) -> int:
        """How many different pairs of two people there are."""
        return self.people * (self.people - 1) // 2


def pair_scores(sample: Sample) -> PairScores:
    """Both histograms. A pair of photos weighs one over the number of such pairs of its person, or of its two."""
    seen = sample.part(np.flatnonzero(sample.found))
    order, _ = seen.by_person()
    vectors, person, each = seen.vectors[order], seen.person[order], seen.photos_each()
    own = np.maximum(each * (each - 1) / 2, 1.0)
    genuine, impostor = np.zeros(CELLS), np.zeros(CELLS)
    for begin in range(0, len(order), BLOCK_ROWS):
        rows = person[begin : begin + BLOCK_ROWS]
        cell = _cells(vectors[begin : begin + BLOCK_ROWS] @ vectors[begin:].T)
        # Each pair once: columns behind the row. Photos are sorted by person.
        later = np.arange(len(order) - begin)[None, :] > np.arange(len(rows))[:, None]
        same = rows[:, None] == person[begin:][None, :]
        alike, different = later & same, later & ~same
        weight = (1 / each[rows])[:, None] * (1 / each[person[begin:]])[None, :]
        genuine += np.bincount(cell[alike], (1 / own[rows])[np.nonzero(alike)[0]], minlength=CELLS)
        impostor += np.bincount(cell[different], weight[different], minlength=CELLS)
    every = len(order) * (len(order) - 1) // 2
    same_pairs = int((each * (each - 1) // 2).sum())
    return PairScores(
        _to_one(genuine), _to_one(impostor), int((each > 1).sum()), len(each), same_pairs, every - same_pairs
    )


def _cells(similarity: Floats | Vectors) -> Ints:
    cell: Ints = np.floor((similarity + 1) * (CELLS / 2)).astype(np.int64)
    return np.clip(cell, 0, CELLS - 1)


def _to_one(weight: Floats) -> Floats:
    total = weight.sum()
    return weight / total if total > 0 else weight
