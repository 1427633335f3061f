"""Rates at a rate: which share is accepted at the threshold that keeps the false ones, as often as people are redrawn.

The threshold is itself measured, so an interval that held it fixed would be too narrow: every replicate of the
bootstrap sets its own. Two models measured with the same draws give the interval of their difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.measure.all_pairs import Genuine
from models.measure.comparisons import FalseMatches
from models.measure.gallery import OpenSet
from models.measure.sample import NO_FACE, Floats, Ints
from models.measure.threshold import ROUNDING

REPLICATES = 500


class Rejected(Protocol):
    """Impostor comparisons of which the closest are kept, most similar first; `Impostors` is one."""

    @property
    def kept(self) -> FalseMatches:
        """Those that are kept."""
        ...

    @property
    def complete(self) -> bool:
        """Whether every comparison that has a score is kept."""
        ...

    def totals(self, drawn: Floats) -> Floats:
        """Weight of all, float64 (n,), when people count as often as drawn, float64 (n, people), says."""
        ...


@dataclass(frozen=True, slots=True)
class Verification:
    """1:1: the TMR, people weighing the same, at the least threshold that keeps an FMR."""

    impostors: Rejected
    genuine: Genuine

    def tmr(self, rates: Sequence[float], drawn: Floats | None = None) -> Floats:
        """TMR at each FMR, float64 (n, rates), for each row of drawn, float64 (n, people): how often people count.

        Not a number where the kept impostors do not reach so far. drawn=None: one row, everybody once.
        """
        drawn = np.ones((1, self.genuine.persons)) if drawn is None else drawn
        falling = np.argsort(-self.genuine.score, kind="stable")
        score, person = self.genuine.score[falling], self.genuine.person[falling]
        light = 1.0 / np.bincount(self.genuine.person, minlength=self.genuine.persons)[person]
        kept, totals = self.impostors.kept, self.impostors.totals(drawn)
        rows = [
            accepted(kept.score, kept.redrawn(counts), total, score, light * counts[person], rates, self._lowest)
            for counts, total in zip(drawn, totals, strict=True)
        ]
        return np.stack(rows)

    @property
    def _lowest(self) -> float:
        return NO_FACE if self.impostors.complete else np.nan


@dataclass(frozen=True, slots=True)
class Identification:
    """1:K in an open set: FNIR at the least threshold that keeps an FPIR on the strangers; the gallery is as it is.

    people: in the sample, enrolled, strangers and others.
    """

    answers: OpenSet
    people: int

    def fnir(self, rates: Sequence[float], drawn: Floats | None = None) -> Floats:
        """FNIR at each FPIR, float64 (n, rates), for each row of drawn, float64 (n, people): how often people count.

        A person counts as often with all own probes, or as a stranger with all own photos. drawn=None: everybody once.
        """
        drawn = np.ones((1, self.people)) if drawn is None else drawn
        strange = np.argsort(-self.answers.closest, kind="stable")
        closest, stranger = self.answers.closest[strange], self.answers.stranger[strange]
        # Where another person is as close, no threshold makes the probe found.
        own = np.where(self.answers.first(), self.answers.own, NO_FACE)
        falling = np.argsort(-own, kind="stable")
        score, probe = own[falling], self.answers.probe[falling]
        rows = [
            1 - accepted(closest, counts[stranger], counts[stranger].sum(), score, counts[probe], rates, NO_FACE)
            for counts in drawn
        ]
        return np.stack(rows)

    def rank_one(self, drawn: Floats) -> Floats:
        """Share of probes whose own person is the closest, float64 (n,), for each row of drawn."""
        counts = drawn[:, self.answers.probe]
        with np.errstate(invalid="ignore"):
            share: Floats = (counts @ self.answers.first()) / counts.sum(1)
        return share


def accepted(
    impostor: Floats,
    impostor_weight: Floats,
    total: float,
    genuine: Floats,
    genuine_weight: Floats,
    rates: Sequence[float],
    lowest: float,
) -> Floats:
    """Weighted share of genuine (k,) at or above the least threshold that keeps each rate of impostors, float64 (r,).

    impostor (m,) and genuine fall; total: weight of all impostors, those that are not given included; lowest: what
    stands for the highest of those. Not a number where that is none, or where nothing genuine has any weight.
    """
    limit = np.asarray(rates, np.float64) * total + ROUNDING * max(total, 1.0)
    beyond: Ints = np.searchsorted(np.cumsum(impostor_weight), limit, side="right").astype(np.int64)
    # The most similar impostor that must be refused: whatever is closer than that is accepted.
    refused = np.append(impostor, lowest)[beyond]
    above = np.searchsorted(-genuine, -refused, side="left")
    weight = np.concatenate([[0.0], np.cumsum(genuine_weight)])
    with np.errstate(invalid="ignore"):
        share: Floats = weight[above] / weight[-1]
    share[np.isnan(refused)] = np.nan
    return share
