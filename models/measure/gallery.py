"""1:K in an open set: rightful people among others, and strangers.

The score of a person is the best of the person's templates, as in the service; the answer is the best person, if at or
above the threshold. A rightful probe is missed when it is below, when another person is as close, or when its face or
its person's template is missing. FNIR counts the missed, FPIR the strangers for whom anybody is at or above.
"""

from dataclasses import dataclass, field

import numpy as np

from models.measure.intervals import Interval, share_over_people
from models.measure.sample import NO_FACE, Bools, Floats, Ints, Sample, Vectors
from models.measure.threshold import threshold_for

BLOCK_ROWS = 2048


@dataclass(frozen=True, slots=True)
class OpenSet:
    """What a gallery answered.

    own, rival: float64 (probes,), each probe's similarity to its own person and to the closest other; probe: int
    (probes,), that person; closest: float64 (strangers,), similarity of each stranger to the closest person; stranger,
    lookalike: int (strangers,), who the stranger and that closest person are; people: how many the gallery holds.
    """

    own: Floats = field(repr=False)
    rival: Floats = field(repr=False)
    probe: Ints = field(repr=False)
    closest: Floats = field(repr=False)
    stranger: Ints = field(repr=False)
    lookalike: Ints = field(repr=False)
    people: int

    def first(self) -> Bools:
        """Whether each probe's own person is closer than any other, bool (probes,)."""
        return self.own > self.rival

    def missed(self, threshold: float) -> Bools:
        """Whether each probe is not recognised as its own person, bool (probes,)."""
        return ~(self.first() & (self.own >= threshold))

    def rank_one(self) -> float:
        """Share of probes whose own person is the closest, whatever the threshold."""
        return float(self.first().mean())

    def fnir(self, threshold: float) -> float:
        """Share of probes missed."""
        return float(self.missed(threshold).mean())

    def fpir(self, threshold: float) -> float:
        """Share of strangers taken for somebody."""
        return float((self.closest >= threshold).mean())

    def threshold_for(self, fpir: float) -> float:
        """The least threshold that keeps the FPIR on these strangers."""
        return threshold_for(self.closest, fpir)

    def fnir_interval(self, threshold: float, generator: np.random.Generator) -> Interval:
        """95 % bootstrap over the people who were probed."""
        return _over_people(self.missed(threshold), self.probe, generator)

    def rank_one_interval(self, generator: np.random.Generator) -> Interval:
        """95 % bootstrap over the people who were probed."""
        return _over_people(self.first(), self.probe, generator)

    def fpir_interval(self, threshold: float, generator: np.random.Generator) -> Interval:
        """95 % bootstrap over the strangers, the gallery being as it is."""
        return _over_people(self.closest >= threshold, self.stranger, generator)


def best_of_templates(probes: Vectors, templates: Vectors, owner: Ints) -> tuple[Vectors, Ints]:
    """Each probe's similarity to each person, the best of that person's templates counting.

    probes: float32 (n, d); templates: (m, d); owner: int (m,). Returns float32 (n, people) and int (people,), the
    people in rising order.
    """
    by_owner = np.argsort(owner, kind="stable")
    people, begins = np.unique(owner[by_owner], return_index=True)
    products = probes @ templates[by_owner].T
    if len(people) < len(owner):
        products = np.maximum.reduceat(products, begins, axis=1)
    return products, people


def open_set(sample: Sample, enrolled: Ints, probes: Ints, strangers: Ints) -> OpenSet:
    """Enrols some photos of the sample and searches others, all three given as photo numbers.

    The person of a probe must be enrolled, that of a stranger must not; raises ValueError otherwise. A photo without a
    face enrols nobody, though its person is counted in `people`.
    """
    holders = np.unique(sample.person[enrolled])
    if not np.isin(sample.person[probes], holders).all() or np.isin(sample.person[strangers], holders).any():
        raise ValueError("every probe's person must be enrolled, and no stranger")
    templates = enrolled[sample.found[enrolled]]
    own, rival = _search_rightful(sample, templates, probes)
    closest, lookalike = _search_strangers(sample, templates, strangers)
    return OpenSet(own, rival, sample.person[probes], closest, sample.person[strangers], lookalike, len(holders))


def _search_rightful(sample: Sample, templates: Ints, probes: Ints) -> tuple[Floats, Floats]:
    own, rival = np.full(len(probes), NO_FACE), np.full(len(probes), NO_FACE)
    if len(templates) == 0:
        return own, rival
    for begin in range(0, len(probes), BLOCK_ROWS):
        block = probes[begin : begin + BLOCK_ROWS]
        scores, people = best_of_templates(sample.vectors[block], sample.vectors[templates], sample.person[templates])
        column = np.minimum(np.searchsorted(people, sample.person[block]), len(people) - 1)
        row = np.flatnonzero(people[column] == sample.person[block])
        end = begin + len(block)
        own[begin:end][row] = scores[row, column[row]]
        scores[row, column[row]] = NO_FACE
        rival[begin:end] = scores.max(axis=1)
    own[~sample.found[probes]] = NO_FACE
    rival[~sample.found[probes]] = NO_FACE
    return own, rival


def _search_strangers(sample: Sample, templates: Ints, strangers: Ints) -> tuple[Floats, Ints]:
    closest, lookalike = np.full(len(strangers), NO_FACE), np.full(len(strangers), -1, np.int64)
    if len(templates) == 0:
        return closest, lookalike
    for begin in range(0, len(strangers), BLOCK_ROWS):
        block = strangers[begin : begin + BLOCK_ROWS]
        scores, people = best_of_templates(sample.vectors[block], sample.vectors[templates], sample.person[templates])
        column = scores.argmax(axis=1)
        closest[begin : begin + len(block)] = scores[np.arange(len(block)), column]
        lookalike[begin : begin + len(block)] = people[column]
    closest[~sample.found[strangers]] = NO_FACE
    return closest, lookalike


def _over_people(hit: Bools, person: Ints, generator: np.random.Generator) -> Interval:
    people, number = np.unique(person, return_inverse=True)
    hits = np.bincount(number, weights=hit, minlength=len(people)).astype(np.float64)
    return share_over_people(hits, np.bincount(number, minlength=len(people)).astype(np.float64), generator)
