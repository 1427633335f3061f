"""Photos that show somebody other than their label: hard positives that teach wrongly."""

import numpy as np
from numpy.typing import NDArray

from models.face.encode import Vectors
from models.training.dataset import Ints

# A photo whose similarity to the mean of its person's other photos is below this shows somebody else, or nobody well.
LEAST_SIMILARITY = 0.25


def mislabelled(vectors: Vectors, person: Ints, least: float = LEAST_SIMILARITY) -> NDArray[np.bool_]:
    """Which photos do not look like the others of their person, bool (n,). vectors: float (n, 128) of unit length.

    With two photos alone nobody can say which of them is wrong: both are dropped when they do not look alike. A single
    photo is kept: it is no positive of anything.
    """
    people = int(person.max()) + 1 if len(person) else 0
    sums = np.zeros((people, vectors.shape[1]), np.float64)
    np.add.at(sums, person, vectors)
    count = np.bincount(person, minlength=people)
    others = sums[person] - vectors
    length = np.linalg.norm(others, axis=1)
    similarity = (others * vectors).sum(1) / np.maximum(length, 1e-12)
    wrong: NDArray[np.bool_] = (count[person] > 1) & (similarity < least)
    return wrong
