"""1:1 over all pairs of a data set, as a table, as a curve, and by the quality of the photos."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.measure.all_pairs import Genuine, Impostors, genuine_pairs, impostor_pairs
from models.measure.intervals import redraw, share_over_people
from models.measure.lfw_figures import Figure
from models.measure.redrawn import REPLICATES, Verification
from models.measure.sample import Floats, Ints, Sample
from models.measure.side_by_side import Measured, replicated

SEED = 20140101
BINS = 5
CURVE_POINTS = 60
QUALITY_FMR = 1e-3
# With people redrawn the same rate reaches further down: so much more is kept, and everything of few photos.
SPARE, FEW_PHOTOS = 1.3, 1500


@dataclass(frozen=True, slots=True)
class Curve:
    """What a plot shows of one model: y against x, both float64 (n,), and where 95 % of the replicates of y lie."""

    x: Floats = field(repr=False)
    y: Floats = field(repr=False)
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Every pair of a sample, once compared, for everything that is asked of it."""

    sample: Sample
    genuine: Genuine
    impostors: Impostors
    drawn: Floats = field(repr=False)

    @classmethod
    def of(cls, sample: Sample, loosest: float, *, people_weigh_the_same: bool = True) -> "AllPairs":
        """loosest: the highest FMR that will be asked for. The draws of people are the same for every model."""
        generator = np.random.default_rng([SEED, 1])
        impostors = impostor_pairs(
            sample, 1.0 if len(sample) <= FEW_PHOTOS else SPARE * loosest, people_weigh_the_same=people_weigh_the_same
        )
        return cls(
            sample,
            genuine_pairs(sample),
            impostors,
            redraw(sample.persons, generator, REPLICATES),
        )

    def figures(self, section: str, rates: Sequence[float]) -> list[Measured]:
        """TMR at each FMR, people weighing the same; each replicate of the interval sets its own threshold."""
        pairs = Verification(self.impostors, self.genuine)
        (tmr,), redrawn = pairs.tmr(rates), pairs.tmr(rates, self.drawn)
        people = len(np.unique(self.genuine.person))
        figures = []
        for number, fmr in enumerate(rates):
            threshold = self.impostors.threshold_for(fmr)
            note = (
                f"{len(self.genuine.score)} pairs of {people} people; at {threshold:.4f} "
                f"{len(self.impostors.false_matches(threshold).score)} of {self.impostors.pairs} impostor pairs match"
            )
            figure = Figure(section, f"TMR at FMR {fmr:g}", float(tmr[number]), note=note)
            figures.append(replicated(figure, redrawn[:, number], people))
        return figures

    def curve(self, tightest: float, loosest: float) -> Curve:
        """TMR against FMR, 60 points at equal distances on a logarithmic axis."""
        rates = np.geomspace(tightest, loosest, CURVE_POINTS)
        pairs = Verification(self.impostors, self.genuine)
        low, high = np.nanquantile(pairs.tmr(list(rates), self.drawn), [0.025, 0.975], axis=0)
        return Curve(rates, pairs.tmr(list(rates))[0], low, high)

    def by_quality(self, section: str, quality: Floats) -> list[Measured]:
        """TMR at FMR 1e-3 of all pairs, for each fifth of the genuine pairs by the worse of their two photos.

        quality: float64 (photos,), 0..1. Where more than a fifth are as good as the best, those stand alone and the
        others make four parts. Equal qualities stay together, so that parts may be uneven.
        """
        left, right = genuine_photos(self.sample)
        worse = np.minimum(quality[left], quality[right])
        threshold = self.impostors.threshold_for(QUALITY_FMR)
        place, figures = _parts(worse), []
        for number in np.unique(place):
            inside = place == number
            some = Genuine(self.genuine.score[inside], self.genuine.person[inside], self.genuine.persons)
            share, tried = some.matched_each(threshold)
            generator = np.random.default_rng([SEED, 2, int(number)])
            interval = share_over_people(share[tried > 0], tried[tried > 0], generator)
            low, high = float(worse[inside].min()), float(worse[inside].max())
            note = f"{int(inside.sum())} pairs of {int(tried.sum())} people, at {threshold:.4f}"
            name = f"TMR, quality {low:.3f} .. {high:.3f}"
            figures.append(Measured(Figure(section, name, some.tmr(threshold), interval=interval, note=note)))
        return figures


def genuine_photos(sample: Sample) -> tuple[Ints, Ints]:
    """The photo numbers (left, right), int (m,), of the pairs of `genuine_pairs`, in its order."""
    order, start = sample.by_person()
    left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for person in np.flatnonzero(sample.photos_each() > 1):
        photos = order[start[person] : start[person + 1]]
        first, second = np.triu_indices(len(photos), 1)
        left.append(photos[first])
        right.append(photos[second])
    return np.concatenate(left), np.concatenate(right)


def _parts(values: Floats) -> Ints:
    """The number of each value's part, int (n,), of five about equally large ones; those at the maximum together."""
    best = values == values.max()
    others = values[~best] if best.mean() > 1 / BINS else values
    if len(others) == 0:
        return np.zeros(len(values), np.int64)
    parts = BINS - 1 if len(others) < len(values) else BINS
    edges = np.unique(np.quantile(others, np.linspace(0, 1, parts + 1)))[1:-1]
    place = np.searchsorted(edges, values, side="right").astype(np.int64)
    return np.where(best, BINS, place) if len(others) < len(values) else place
