"""The least threshold that keeps an error rate."""

import numpy as np

from models.measure.sample import Floats

# Weights are sums of fractions: a rate may miss its target by rounding alone.
ROUNDING = 1e-9


def threshold_for(
    scores: Floats, rate: float, *, weight: Floats | None = None, total: float | None = None, complete: bool = True
) -> float:
    """The least threshold t with weight of (score >= t) <= rate x total; a score equal to t counts as a match.

    scores: float64 (m,); weight: (m,), 1 each when absent; total: weight of all comparisons, those that are not among
    the scores included; complete: whether lower scores than these do not exist. Scores of minus infinity never match.
    Raises ValueError for a rate outside 0..1, or when scores that were not given would decide.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"{rate} is no rate: it must lie in 0..1")
    weight = np.ones(len(scores)) if weight is None else weight
    total = float(weight.sum()) if total is None else total
    falling = np.argsort(-scores, kind="stable")
    matched = np.cumsum(weight[falling])
    beyond = np.flatnonzero(matched > rate * total + ROUNDING * max(total, 1.0))
    highest_refused = scores[falling[beyond[0]]] if len(beyond) else -np.inf
    if highest_refused == -np.inf:
        if not complete:
            raise ValueError(f"the scores given make up less than {rate:g} of all: collect a longer tail")
        return -1.0  # everything may match: no similarity is below this
    return float(np.nextafter(highest_refused, np.inf))
