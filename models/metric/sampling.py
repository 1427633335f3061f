"""Batches of P people with K photos each, so that every photo has positives and negatives beside it.

Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017, section 2.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class PeopleBatches:
    """Photo numbers, int (people * photos,), person by person: an epoch shows nearly every photo once.

    person: int (n,), whose each photo is. People with one photo alone are left out: they have no positive. Who has
    fewer than `photos` shows some of them again; who has more comes several times, in batches of their own.

    Raises ValueError where no batch could ever be filled.
    """

    def __init__(self, person: Sequence[int] | Ints, people: int, photos: int) -> None:
        if people < 2 or photos < 2:
            raise ValueError(f"a batch of {people} people with {photos} photos each has no triplet: 2 of both at least")
        numbers: Ints = np.asarray(person, np.int64)
        order = np.argsort(numbers, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
        self._photos_of = [part for part in parts if len(part) > 1]
        self._people, self._photos = people, photos
        if len(self._photos_of) < people:
            raise ValueError(
                f"{len(self._photos_of)} people have two photos or more, and a batch needs {people}: "
                "give more photos, or ask for fewer people in a batch"
            )

    def epoch(self, generator: np.random.Generator) -> Iterator[Ints]:
        """The batches of one epoch, one at least; what fills no batch at its end is left out."""
        turns = [-(-len(photos) // self._photos) for photos in self._photos_of]
        shuffled = [generator.permutation(photos) for photos in self._photos_of]
        while True:
            if np.count_nonzero(turns) < self._people:
                return
            # By the turns left, so that those with many photos are not left over among themselves.
            chosen = generator.choice(len(turns), self._people, replace=False, p=np.array(turns) / sum(turns))
            yield np.concatenate([self._turn(shuffled[one], turns[one] - 1) for one in chosen])
            for one in chosen:
                turns[one] -= 1

    def _turn(self, photos: Ints, turn: int) -> Ints:
        """The photos of that turn, filled up from the person's others where they are too few."""
        own = photos[turn * self._photos : (turn + 1) * self._photos]
        others = np.setdiff1d(photos, own)
        whole = [own, others, *([photos] * (-(-self._photos // len(photos))))]
        return np.concatenate(whole)[: self._photos]
