"""How sure a rate is: Wilson's interval for independent trials, the bootstrap over people for all others.

Comparisons that share a person are not independent, so people are drawn, never comparisons.
"""

from collections.abc import Iterable
from math import sqrt

import numpy as np

from models.measure.sample import Floats

Interval = tuple[float, float]
REPLICATES = 1000
Z_95 = 1.959963984540054


def wilson(hits: int, trials: int) -> Interval:
    """95 % interval of a share of independent trials (Wilson 1927). Raises ValueError without trials."""
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"{hits} of {trials} is no share")
    share, spread = hits / trials, Z_95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def redraw(people: int, generator: np.random.Generator, replicates: int = REPLICATES) -> Floats:
    """float64 (replicates, people): how often each person is drawn when as many are drawn, with replacement."""
    draws = generator.integers(people, size=(replicates, people))
    return np.stack([np.bincount(draw, minlength=people) for draw in draws]).astype(np.float64)


def middle_95(replicates: Iterable[float] | Floats) -> Interval:
    """The 2.5 % and 97.5 % quantiles; replicates that are not a number are left out, (0, 1) when all are."""
    values = np.asarray(list(replicates), np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def share_over_people(hits: Floats, trials: Floats, generator: np.random.Generator) -> Interval:
    """95 % interval of sum(hits) / sum(trials), both float64 (people,), by drawing people.

    Where no hit, or nothing but hits, was seen the bootstrap knows no spread: the rule of three over the people who
    were tried takes its place (no error of N shows only a rate of at most 3 / N).
    """
    drawn = redraw(len(trials), generator)
    with np.errstate(invalid="ignore"):
        low, high = middle_95((drawn @ hits) / (drawn @ trials))
    tried = int(np.count_nonzero(trials))
    if hits.sum() == 0:
        high = min(1.0, 3 / tried)
    if hits.sum() >= trials.sum():
        low = max(0.0, 1 - 3 / tried)
    return low, high
