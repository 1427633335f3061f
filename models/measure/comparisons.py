"""Comparisons of different people, in pairs or as strangers before galleries: what both have in common."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.measure.intervals import Interval, middle_95, redraw
from models.measure.sample import Floats, Ints


@dataclass(frozen=True, slots=True)
class FalseMatches:
    """False matches: score and weight float64 (m,), and the two people int (m,) of each."""

    score: Floats = field(repr=False)
    weight: Floats = field(repr=False)
    first: Ints = field(repr=False)
    second: Ints = field(repr=False)

    def redrawn(self, drawn: Floats) -> Floats:
        """The weights when people count as often as drawn, float64 (people,), says: the product of the two."""
        return self.weight * drawn[self.first] * drawn[self.second]


class Comparisons(Protocol):
    """Many comparisons of different people, of which the closest are known one by one."""

    @property
    def people(self) -> int:
        """Number of people compared."""
        ...

    @property
    def independent(self) -> int:
        """How many comparisons can be found that share nobody: what the rule of three counts."""
        ...

    def threshold_for(self, rate: float) -> float:
        """The least threshold that keeps the rate of false matches."""
        ...

    def false_matches(self, threshold: float) -> FalseMatches:
        """Those at or above the threshold."""
        ...

    def totals(self, drawn: Floats) -> Floats:
        """Weight of all comparisons, float64 (n,), when people count as often as drawn, float64 (n, people), says."""
        ...


def rate_interval(comparisons: Comparisons, threshold: float, generator: np.random.Generator) -> Interval:
    """95 % bootstrap over people of the rate of false matches at the threshold.

    Where no false match was seen, the rule of three over independent comparisons gives the upper end.
    """
    false = comparisons.false_matches(threshold)
    if len(false.score) == 0:
        return 0.0, min(1.0, 3 / comparisons.independent)
    drawn = redraw(comparisons.people, generator)
    matched = np.array([false.redrawn(counts).sum() for counts in drawn])
    with np.errstate(invalid="ignore"):
        return middle_95(matched / comparisons.totals(drawn))
