"""Isotonic regression: the non-decreasing sequence nearest to given values (Barlow et al. 1972)."""

import numpy as np

from models.measure.sample import Floats


def pool_adjacent_violators(value: Floats, weight: Floats) -> Floats:
    """The non-decreasing float64 (n,) with the least weighted squared distance to `value` (n,).

    weight: (n,), above zero. Whatever falls is pooled with its neighbour to their mean, until nothing falls.
    Raises ValueError for weights that are not above zero.
    """
    if not (weight > 0).all():
        raise ValueError("every weight must be above zero")
    means: list[float] = []
    weights: list[float] = []
    lengths: list[int] = []
    for one, its_weight in zip(value.tolist(), weight.tolist(), strict=True):
        mean, total, length = one, its_weight, 1
        while means and means[-1] >= mean:
            before = weights.pop()
            mean = (means.pop() * before + mean * total) / (before + total)
            total += before
            length += lengths.pop()
        means.append(mean)
        weights.append(total)
        lengths.append(length)
    return np.repeat(np.array(means, np.float64), np.array(lengths, np.int64))
