"""1:1 on every pair of photos of a sample, with people, not pairs, weighing the same.

A person with many photos would otherwise be most of the result. Impostor pairs are far too many to keep (87 million on
LFW), and only the most similar of them decide: products of blocks of vectors find those, and the rest is counted.
"""

from dataclasses import dataclass, field

import numpy as np

from models.measure.comparisons import FalseMatches
from models.measure.intervals import Interval, share_over_people
from models.measure.sample import NO_FACE, Floats, Ints, Sample
from models.measure.threshold import threshold_for

BLOCK_ROWS = 1024
PROBED_PHOTOS = 2000


@dataclass(frozen=True, slots=True)
class Impostors:
    """The impostor pairs at or above `floor`, most similar first, each pair of photos once; the others are counted.

    mass: float64 (people,), what each person weighs: a pair of photos weighs mass / photos of the one person times that
    of the other; pairs: how many pairs of photos there are in all, those with a missing face included; complete:
    whether no pair with two faces lies below the floor.
    """

    kept: FalseMatches
    mass: Floats = field(repr=False)
    floor: float
    pairs: int
    complete: bool

    @property
    def people(self) -> int:
        """Number of people, those without a face included."""
        return len(self.mass)

    @property
    def independent(self) -> int:
        """Pairs of people that share nobody: half as many as people."""
        return len(self.mass) // 2

    def threshold_for(self, rate: float) -> float:
        """The least threshold that keeps the FMR. Raises ValueError when that lies below the floor."""
        kept = self.kept
        return threshold_for(kept.score, rate, weight=kept.weight, total=self.total, complete=self.complete)

    def false_matches(self, threshold: float) -> FalseMatches:
        """The pairs at or above the threshold. Raises ValueError for a threshold below the floor."""
        if threshold < self.floor and not self.complete:
            raise ValueError(f"pairs below {self.floor:.4f} were not kept: collect from {threshold:.4f} on")
        count = int(np.searchsorted(-self.kept.score, -threshold, side="right"))
        kept = self.kept
        return FalseMatches(kept.score[:count], kept.weight[:count], kept.first[:count], kept.second[:count])

    @property
    def total(self) -> float:
        """Weight of all impostor pairs, each person counting once."""
        return float(self.totals(np.ones((1, self.people)))[0])

    def totals(self, drawn: Floats) -> Floats:
        """Weight of all impostor pairs when people count so often; two draws of one person are no such pair."""
        mass = drawn * self.mass
        total: Floats = (mass.sum(axis=1) ** 2 - (mass**2).sum(axis=1)) / 2
        return total

    def fmr(self, threshold: float) -> float:
        """Weighted share of impostor pairs at or above the threshold. Raises ValueError below the floor."""
        return float(self.false_matches(threshold).weight.sum() / self.total)

    def people_matched(self, threshold: float) -> int:
        """Number of distinct people with at least one false match."""
        false = self.false_matches(threshold)
        return len(np.unique(np.concatenate([false.first, false.second])))


@dataclass(frozen=True, slots=True)
class Genuine:
    """Every pair of two photos of one person: score float64 (m,), person int (m,); persons: people in the sample."""

    score: Floats = field(repr=False)
    person: Ints = field(repr=False)
    persons: int

    def matched_each(self, threshold: float) -> tuple[Floats, Floats]:
        """(share, tried), float64 (persons,): each person's share of pairs that match; tried: 1 with pairs, else 0."""
        pairs = np.bincount(self.person, minlength=self.persons)
        matched = np.bincount(self.person[self.score >= threshold], minlength=self.persons)
        return matched / np.maximum(pairs, 1), (pairs > 0).astype(np.float64)

    def tmr(self, threshold: float) -> float:
        """Share of matching pairs, averaged over people who have pairs; not a number when nobody has."""
        share, tried = self.matched_each(threshold)
        return float(share.sum() / tried.sum()) if tried.any() else float("nan")

    def tmr_interval(self, threshold: float, generator: np.random.Generator) -> Interval:
        """95 % bootstrap over people of the TMR at the threshold."""
        share, tried = self.matched_each(threshold)
        keep = tried > 0
        return share_over_people(share[keep], tried[keep], generator)


def genuine_pairs(sample: Sample) -> Genuine:
    """Every genuine pair of the sample, NO_FACE where a face is missing."""
    order, start = sample.by_person()
    scores, people = [np.empty(0)], [np.empty(0, np.int64)]
    for person in np.flatnonzero(sample.photos_each() > 1):
        photos = order[start[person] : start[person + 1]]
        left, right = np.triu_indices(len(photos), 1)
        products = (sample.vectors[photos] @ sample.vectors[photos].T)[left, right].astype(np.float64)
        found = sample.found[photos]
        products[~(found[left] & found[right])] = NO_FACE
        scores.append(products)
        people.append(np.full(len(left), person, np.int64))
    return Genuine(np.concatenate(scores), np.concatenate(people), sample.persons)


def impostor_pairs(sample: Sample, share: float, *, people_weigh_the_same: bool = True) -> Impostors:
    """The most similar impostor pairs: at least `share` (0..1) of their weight, or all pairs that have two faces."""
    wanted = 1.5 * share
    while True:
        pairs = impostor_pairs_from(sample, _floor(sample, wanted), people_weigh_the_same=people_weigh_the_same)
        if pairs.complete or pairs.kept.weight.sum() > share * pairs.total:
            return pairs
        wanted *= 2


def impostor_pairs_from(sample: Sample, floor: float, *, people_weigh_the_same: bool = True) -> Impostors:
    """The impostor pairs at or above `floor`. With people_weigh_the_same=False each pair of photos weighs one."""
    order, start = sample.by_person()
    vectors, found, person = sample.vectors[order], sample.found[order], sample.person[order]
    each = sample.photos_each()
    ends = start[person + 1]
    scores, rows, columns = [], [], []
    for begin in range(0, len(order), BLOCK_ROWS):
        products = vectors[begin : begin + BLOCK_ROWS] @ vectors[begin:].T
        row, column = np.divmod(np.flatnonzero(products >= np.float32(floor)), products.shape[1])
        similarity = products[row, column]
        row, column = row + begin, column + begin
        # Photos are sorted by person: behind the end of a photo's person lie its impostors, each pair once.
        keep = (column >= ends[row]) & found[row] & found[column]
        scores.append(similarity[keep])
        rows.append(row[keep])
        columns.append(column[keep])
    score: Floats = np.concatenate(scores).astype(np.float64)
    falling = np.argsort(-score, kind="stable")
    first, second = person[np.concatenate(rows)[falling]], person[np.concatenate(columns)[falling]]
    mass = np.ones(sample.persons) if people_weigh_the_same else each.astype(np.float64)
    light = mass / each
    with_faces = np.bincount(person[found], minlength=sample.persons).astype(np.int64)
    return Impostors(
        kept=FalseMatches(score[falling], light[first] * light[second], first, second),
        mass=mass,
        floor=floor,
        pairs=_pairs(each),
        complete=len(score) == _pairs(with_faces),
    )


def _pairs(photos_each: Ints) -> int:
    return int((photos_each.sum() ** 2 - (photos_each**2).sum()) // 2)


def _floor(sample: Sample, share: float) -> float:
    """Where about `share` of the impostor pairs begin, from some photos spread over all people."""
    if share >= 1:
        return -2.0
    order, _ = sample.by_person()
    some = order[:: max(1, len(order) // PROBED_PHOTOS)]
    some = some[sample.found[some]]
    different = sample.person[some][:, None] != sample.person[some][None, :]
    products = (sample.vectors[some] @ sample.vectors[some].T)[different]
    return float(np.quantile(products, 1 - share)) if len(products) else -2.0
