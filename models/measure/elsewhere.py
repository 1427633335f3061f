"""Whether calibrated rates hold elsewhere: on people of the same data set who were never used for calibration."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.measure.calibrate import calibrate
from models.measure.comparisons import rate_interval
from models.measure.gallery import open_set
from models.measure.likelihood import Knots, Reliability, probability, reliability_of
from models.measure.operating_points import Point
from models.measure.sample import Bools, Floats, Ints, Sample
from models.measure.splits import Splits, draw_splits


@dataclass(frozen=True, slots=True)
class Kept:
    """A calibrated 1:K point, and the FPIR of other people there: `strangers` of them before each random gallery."""

    point: Point
    fpir: float
    strangers: int

    @property
    def inside(self) -> bool:
        """Whether that lies inside the interval that the point states."""
        low, high = self.point.interval
        return low <= self.fpir <= high


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of many random halvings, how often the other half's FPIR lay inside the interval, or not above it."""

    name: str
    halvings: int
    inside: int
    not_above: int


@dataclass(frozen=True, slots=True)
class Subsampled:
    """One gallery size by repeated subsampling. float64 (repeats,): threshold, interval low to high, and fpir."""

    size: int
    target: float
    strangers: int
    threshold: Floats
    low: Floats
    high: Floats
    fpir: Floats

    @property
    def inside(self) -> int:
        """In how many repeats the FPIR lay inside the interval stated for it."""
        return int(((self.low <= self.fpir) & (self.fpir <= self.high)).sum())


def calibrates(label: str) -> bool:
    """The committed rule: whether that person calibrates, where the others measure. Half of all do."""
    return hashlib.sha256(label.encode()).digest()[0] % 2 == 0


def half(sample: Sample, chosen: Bools) -> tuple[Sample, Sample]:
    """The photos of the chosen people, bool (persons,), and those of the others."""
    of_chosen = chosen[sample.person]
    return sample.part(np.flatnonzero(of_chosen)), sample.part(np.flatnonzero(~of_chosen))


def kept_elsewhere(points: Iterable[Point], other: Sample, *, seed: int, splits: int | None = None) -> list[Kept]:
    """What each 1:K point keeps on other people, in random galleries of its own size."""
    drawn: dict[int, Splits] = {}
    kept = []
    for point in points:
        size = point.gallery_size
        if size is None or size >= other.persons:
            continue
        if size not in drawn:
            drawn[size] = draw_splits(other, size, np.random.default_rng([seed, size]), splits=splits)
        kept.append(Kept(point, drawn[size].fpir(point.threshold), drawn[size].independent))
    return kept


def coverage(sample: Sample, sizes: Sequence[int], *, seed: int, halvings: int, splits: int) -> tuple[Coverage, ...]:
    """How honest the intervals are: people are halved at random, again and again; one half calibrates, one measures."""
    inside: dict[str, list[tuple[bool, bool]]] = {}
    for number in range(halvings):
        chosen = np.zeros(sample.persons, np.bool_)
        chosen[np.random.default_rng([seed, number]).permutation(sample.persons)[::2]] = True
        ours, theirs = half(sample, chosen)
        measured = calibrate(ours, model_id="", name="", seed=number, sizes=sizes, splits=splits)
        points = (*measured.identification, *measured.between)
        for kept in kept_elsewhere(points, theirs, seed=number, splits=splits):
            name = f"{kept.point.name}, {kept.point.support}"
            inside.setdefault(name, []).append((kept.inside, kept.fpir <= kept.point.interval[1]))
    return tuple(
        Coverage(name, len(rows), sum(row[0] for row in rows), sum(row[1] for row in rows))
        for name, rows in inside.items()
    )


def subsampled(sample: Sample, size: int, target: float, *, seed: int, repeats: int) -> Subsampled:
    """A gallery too large for two disjoint halves: the strangers are halved, the gallery serves both.

    In each repeat `size` people are enrolled; half of all others set the threshold and its interval, the other half
    measure. Strangers never did both within a repeat; those enrolled were there for both. Raises ValueError where fewer
    than two strangers would be left.
    """
    strangers = (sample.persons - size) // 2
    if strangers < 1:
        raise ValueError(f"a gallery of {size} leaves no strangers of {sample.persons} people")
    rows = []
    for number in range(repeats):
        generator = np.random.default_rng([seed, size, number])
        people = generator.permutation(sample.persons)
        enrolled, first = people[:size], people[size : size + strangers]
        second = people[size + strangers : size + 2 * strangers]
        setting = _one_gallery(sample, enrolled, first, generator)
        threshold = setting.threshold_for(target)
        low, high = rate_interval(setting, threshold, generator)
        rows.append((threshold, low, high, _one_gallery(sample, enrolled, second, generator).fpir(threshold)))
    return Subsampled(size, target, strangers, *np.array(rows, np.float64).T)


def reliability_among(people: int, knots: Knots, other: Sample, *, seed: int, splits: int | None = None) -> Reliability:
    """Of searches before random galleries of so many, half of them by strangers: what was said, and what was so.

    Judged is the closest person of every search that finds a face, whether or not it lies above a threshold.
    """
    answers = draw_splits(other, people, np.random.default_rng([seed, people]), splits=splits).answers
    closest = np.concatenate([np.maximum(answers.own, answers.rival), answers.closest])
    right = np.concatenate([answers.first(), np.zeros(len(answers.closest), np.bool_)])
    weight = np.concatenate([np.full(n, 0.5 / max(n, 1)) for n in (len(answers.own), len(answers.closest))])
    seen = np.isfinite(closest)
    return reliability_of(probability(knots, closest[seen], among=people), right[seen], weight[seen])


def _one_gallery(sample: Sample, enrolled: Ints, strangers: Ints, generator: np.random.Generator) -> Splits:
    """Those strangers before that one gallery, a random photo each."""
    both = np.sort(np.concatenate([enrolled, strangers]))
    part = sample.part(np.flatnonzero(np.isin(sample.person, both)))
    order, start = part.by_person()
    chosen = order[start[:-1] + (generator.random(part.persons) * part.photos_each()).astype(np.int64)]
    inside = np.isin(both, enrolled)
    answers = open_set(part, chosen[inside], np.empty(0, np.int64), chosen[~inside])
    return Splits(answers, inside[None, :], len(enrolled))
