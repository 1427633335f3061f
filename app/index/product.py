"""Many probes at once, by matrix products: block after block, so that memory stays bounded whatever the gallery."""

import numpy as np
from numpy.typing import NDArray

from app.domain.face import Vector

Places = NDArray[np.intp]

# Similarities held at a time: 16 MiB of float32, and twice as much for their order.
BLOCK = 2**22
# Columns of which only the greatest is looked at first.
GROUP = 64


def closest(matrix: Vector, probes: Vector, k: int) -> tuple[Vector, Places]:
    """For each probe the k greatest similarities, greatest first, and the rows of `matrix` they belong to.

    matrix: float32 (n, d), n at least 1; probes: float32 (q, d), q at least 1; k: 1..n. float32 (q, k), intp (q, k).
    """
    size = max(k, BLOCK // len(probes))
    best: tuple[Vector, Places] | None = None
    for begin in range(0, len(matrix), size):
        similarities = probes @ matrix[begin : begin + size].T
        found = _greatest(similarities, np.arange(begin, begin + similarities.shape[1]), k)
        if best is not None:
            both = np.hstack((best[0], found[0])), np.hstack((best[1], found[1]))
            found = _greatest(*both, k)
        best = found
    assert best is not None, "there is at least one row"
    order = np.argsort(-best[0], axis=1, kind="stable")
    return np.take_along_axis(best[0], order, 1), np.take_along_axis(best[1], order, 1)


def _greatest(similarities: Vector, places: Places, k: int) -> tuple[Vector, Places]:
    """The k greatest of each line in any order; places: (n,) of the columns, or (q, n)."""
    places = np.broadcast_to(places, similarities.shape)
    surplus = similarities.shape[1] - k
    if surplus <= 0:
        return similarities, places
    columns = _promising(similarities, k)
    if columns is not None:
        similarities, places = np.take_along_axis(similarities, columns, 1), np.take_along_axis(places, columns, 1)
        surplus = columns.shape[1] - k
    chosen = np.argpartition(similarities, surplus, axis=1)[:, surplus:]
    return np.take_along_axis(similarities, chosen, 1), np.take_along_axis(places, chosen, 1)


def _promising(similarities: Vector, k: int) -> Places | None:
    """Columns among which the k greatest of each line are, intp (q, fewer); None where that would save nothing.

    The k greatest lie in at most k groups, those with the greatest maxima; a maximum costs less than an order.
    """
    lines, n = similarities.shape
    groups = n // GROUP
    if groups < 4 * k:
        return None
    # Group j is every column j + i * groups: so the maxima are taken along the memory, in vector instructions.
    whole = groups * GROUP
    maxima = similarities[:, :whole].reshape(lines, GROUP, groups).max(axis=1)
    best = np.argpartition(maxima, groups - k, axis=1)[:, groups - k :]
    columns = (best[:, None, :] + groups * np.arange(GROUP)[:, None]).reshape(lines, GROUP * k)
    rest = np.broadcast_to(np.arange(whole, n), (lines, n - whole))
    return np.hstack((columns, rest))
