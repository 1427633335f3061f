"""A rate beyond the sample: the threshold that a fitted tail gives, and how far people drawn afresh move it."""

from dataclasses import dataclass

import numpy as np

from models.measure.comparisons import Comparisons
from models.measure.intervals import Interval, middle_95, redraw
from models.measure.sample import Floats
from models.measure.tail import Tail, fit_tail

REPLICATES = 200
# Where the tail begins, in multiples of the rate: as low as a sound fit allows, for more scores make a surer one.
BEGINNINGS = (100.0, 50.0, 20.0)
LONGEST_TAIL = 0.1
LEAST_SCORES = 100
# Less than half of the fits sound, a rate that could be ten times the target, or a tail that says less than half of
# what the sample shows: the tail does not reach so far.
LEAST_SOUND = 0.5
WORST_EXCESS = 10.0
WORST_DISAGREEMENT = 2.0


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """A threshold from the tail, and the 95 % interval over people of the tail's rate there."""

    threshold: float
    interval: Interval


def extrapolated(
    comparisons: Comparisons, target: float, least: float, generator: np.random.Generator
) -> Extrapolated | None:
    """The threshold for a rate that too few people support, or None where no fitted tail reaches it.

    least: the threshold is this at least, whatever the tail says; the interval is that of the threshold chosen.
    """
    drawn = redraw(comparisons.people, generator, REPLICATES)
    for multiple in BEGINNINGS:
        level = comparisons.threshold_for(min(LONGEST_TAIL, multiple * target))
        if reached := _reached(comparisons, level, target, least, drawn):
            return reached
    return None


def _reached(comparisons: Comparisons, level: float, target: float, least: float, drawn: Floats) -> Extrapolated | None:
    """What the tail from `level` on says, or None where it says nothing sound."""
    false = comparisons.false_matches(level)
    if len(false.score) < LEAST_SCORES:
        return None
    order = np.argsort(false.score, kind="stable")
    rising = false.score[order]

    def fits(counts: Floats) -> list[Tail | None]:
        weights = zip(counts, comparisons.totals(counts), strict=True)
        return [fit_tail(rising, level, total=total, weight=false.redrawn(one)[order]) for one, total in weights]

    (tail,) = fits(np.ones((1, comparisons.people)))
    if tail is None or target > tail.rate or tail.threshold_for(target) >= 1:
        return None
    threshold = max(tail.threshold_for(target), least)
    if tail.rate_above(threshold) < target / WORST_DISAGREEMENT:
        return None
    rates = [np.nan if t is None else t.rate_above(threshold) for t in fits(drawn)]
    if np.mean(np.isnan(rates)) > LEAST_SOUND:
        return None
    low, high = middle_95(rates)
    return Extrapolated(threshold, (low, high)) if high <= WORST_EXCESS * target else None
