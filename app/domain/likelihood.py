"""What a similarity says of a match, as a probability with its prior stated. Pure arithmetic on a few numbers."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

# Of searches: how many are by somebody who is enrolled, each person as often as any other.
ENROLLED = 0.5


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to fit, and its Brier scores on people who were not fitted on: of pairs, and of searches among 100."""

    method: str
    verification: float
    identification: float


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-odds of a match at the prior, in straight lines between the knots (similarity, log-odds), level outside.

    prior: the share of rightful comparisons in what was fitted; people, twice: people in the sample, and those with two
    photos; genuine, impostors: pairs of photos of each kind. Raises ValueError for knots that fall or are no numbers.
    """

    method: str
    prior: float
    knots: tuple[tuple[float, float], ...]
    people: int
    twice: int
    genuine: int
    impostors: int
    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1 or not self.knots:
            raise ValueError("a likelihood needs a prior within 0..1, and knots")
        if not all(math.isfinite(number) for knot in self.knots for number in knot):
            raise ValueError("the knots of a likelihood are numbers")
        if any(after[0] <= before[0] or after[1] < before[1] for before, after in pairwise(self.knots)):
            raise ValueError("the knots of a likelihood rise")

    def of_match(self, similarity: float | None) -> float | None:
        """1:1: the chance that both are one person, where that is so in half of all comparisons; None for no number."""
        return self._at(similarity, log_prior=0.0)

    def of_person(self, similarity: float | None, compared: int) -> float | None:
        """1:K: the chance that the closest person is the right one, of half the searches being by somebody enrolled.

        compared: persons or templates in the gallery, whichever are more. How close the second person is does not
        enter: the answer would tell it to a caller who must not know.
        """
        each = ENROLLED / max(compared, 1)
        return self._at(similarity, log_prior=math.log(each / (1 - ENROLLED)))

    def _at(self, similarity: float | None, *, log_prior: float) -> float | None:
        if similarity is None or not math.isfinite(similarity):
            return None
        odds = self._log_odds(similarity) - math.log(self.prior / (1 - self.prior)) + log_prior
        # The form whose exponential cannot overflow.
        return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))

    def _log_odds(self, similarity: float) -> float:
        after = bisect_right(self.knots, similarity, key=lambda knot: knot[0])
        if after == 0 or after == len(self.knots):
            return self.knots[min(after, len(self.knots) - 1)][1]
        (left, low), (right, high) = self.knots[after - 1], self.knots[after]
        return low + (high - low) * (similarity - left) / (right - left)
