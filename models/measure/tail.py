"""What lies beyond the sample: a generalised Pareto distribution over the highest scores.

Above a high level, excesses of nearly every distribution follow it (Pickands 1975); it is fitted by
probability-weighted moments (Hosking and Wallis 1987), here with weights. What it says is an extrapolation.
"""

from dataclasses import dataclass
from math import exp, inf, isfinite, log

import numpy as np

from models.measure.sample import Floats

NEARLY_EXPONENTIAL = 1e-6
# Similarities end at 1: a tail heavier than this follows a few outliers, such as one person under two names.
HEAVIEST_SHAPE = 0.25


@dataclass(frozen=True, slots=True)
class Tail:
    """P(score > level + y) = rate x (1 + shape x y / scale) ^ (-1 / shape) for y >= 0, and 0 beyond the tail's end."""

    level: float
    rate: float
    shape: float
    scale: float

    def rate_above(self, threshold: float) -> float:
        """The share of all scores above the threshold. Raises ValueError below the level."""
        excess = (threshold - self.level) / self.scale
        if excess < 0:
            raise ValueError(f"the tail begins at {self.level:.4f}: it says nothing of {threshold:.4f}")
        if abs(self.shape) < NEARLY_EXPONENTIAL:
            return self.rate * exp(-excess)
        inside = 1 + self.shape * excess
        return self.rate * exp(-log(inside) / self.shape) if inside > 0 else 0.0

    def threshold_for(self, rate: float) -> float:
        """Where the share above is `rate`. Raises ValueError for a rate that is not within the tail."""
        if not 0 < rate <= self.rate:
            raise ValueError(f"the tail holds a share of {self.rate:g}: it says nothing of {rate:g}")
        ratio = log(self.rate / rate)
        if abs(self.shape) < NEARLY_EXPONENTIAL:
            return self.level + self.scale * ratio
        return self.level + self.scale / self.shape * (exp(self.shape * ratio) - 1)

    @property
    def end(self) -> float:
        """The highest score that the tail allows."""
        return self.level - self.scale / self.shape if self.shape < -NEARLY_EXPONENTIAL else inf


def fit_tail(rising: Floats, level: float, *, total: float, weight: Floats | None = None) -> Tail | None:
    """Fits the tail to the scores (m,) from `level` on, in rising order, out of comparisons of weight `total` in all.

    None where no sound fit exists: fewer than two different scores, a shape too heavy, or an end below a score seen.
    """
    weight = np.ones(len(rising)) if weight is None else weight
    inside = float(weight.sum())
    if inside <= 0 or total <= 0:
        return None
    excess = rising - level
    mean = float(weight @ excess) / inside
    # The share of the tail above each score, taken in the middle of that score's own weight.
    above = 1 - (np.cumsum(weight) - weight / 2) / inside
    moment = float(weight @ (excess * above)) / inside
    spread = mean - 2 * moment
    if spread <= 0:
        return None
    shape, scale = 2 - mean / spread, 2 * mean * moment / spread
    tail = Tail(level, inside / total, shape, scale)
    highest = float(rising[np.flatnonzero(weight)[-1]])
    sound = isfinite(shape) and shape < HEAVIEST_SHAPE and scale > 0 and tail.end >= highest
    return tail if sound else None
