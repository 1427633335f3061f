"""What a model is worth on LFW: the figures that are reported, each with its counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.measure.all_pairs import genuine_pairs, impostor_pairs, impostor_pairs_from
from models.measure.comparisons import rate_interval
from models.measure.gallery import OpenSet, open_set
from models.measure.intervals import Interval, wilson
from models.measure.lfw import OpenSetPhotos, Protocol, person_of
from models.measure.operating_points import Point
from models.measure.pairs import fold_accuracy, match_rate
from models.measure.readings import NO_FACE, REFUSED, Readings
from models.measure.sample import Ints, Sample
from models.measure.splits import draw_splits

SEED = 20071009
FMR_LISTED = (1e-2, 1e-3)
FPIR_OPEN_SET = (0.1, 0.01)
SERVED_POINTS = "served points, people outside View 1's test part"
FMR_ALL_PAIRS = (1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True, slots=True)
class Figure:
    """One rate: `count` of `of` where it is a plain share, 95 % interval where known, and what else is to be said."""

    section: str
    measure: str
    value: float
    count: int | None = None
    of: int | None = None
    interval: Interval | None = None
    note: str = ""


@dataclass(frozen=True)
class Lfw:
    """All photos of the protocol as read by one model; number: path -> photo number in the sample."""

    protocol: Protocol
    readings: Readings
    sample: Sample = field(repr=False)
    number: dict[str, int] = field(repr=False)

    @classmethod
    def of(cls, protocol: Protocol, readings: Readings) -> "Lfw":
        """Raises KeyError when a photo of the protocol was not read."""
        paths = protocol.photos()
        sample = readings.sample(paths, [person_of(path) for path in paths])
        return cls(protocol, readings, sample, {path: i for i, path in enumerate(paths)})

    def numbers(self, paths: Sequence[str]) -> Ints:
        """The photo numbers of these paths, int (len(paths),)."""
        return np.array([self.number[path] for path in paths], np.int64)

    def search(self, photos: OpenSetPhotos) -> OpenSet:
        """Enrols and searches those photos."""
        return open_set(
            self.sample,
            self.numbers(photos.enrolled),
            self.numbers(photos.probes),
            self.numbers(photos.strangers),
        )

    def outside(self) -> Sample:
        """All photos of the people outside View 1's test part, who set no threshold."""
        return self.sample.part(self.numbers(self.protocol.photos(self.protocol.outside())))


def lfw_figures(lfw: Lfw) -> list[Figure]:
    """The figures that need no served threshold: photos, View 2, open set, all pairs."""
    return [*photo_figures(lfw), *view_2_figures(lfw), *open_set_figures(lfw), *all_pairs_figures(lfw)]


def served_figures(lfw: Lfw, points: Sequence[Point], serves: Callable[[int], Point]) -> list[Figure]:
    """The rates at served thresholds, on people outside View 1's test part.

    points: every shipped point; serves: the point that the service takes for a gallery of that many people.
    """
    return [*_served_open_set(lfw, serves), *_served_points(lfw.outside(), points)]


def photo_figures(lfw: Lfw) -> list[Figure]:
    """How many photos show no face, and how many were refused."""
    paths, total = lfw.protocol.photos(), len(lfw.sample)
    no_face, refused = lfw.readings.count(paths, NO_FACE), lfw.readings.count(paths, REFUSED)
    return [
        Figure("photos", "without a face", no_face / total, no_face, total),
        Figure("photos", "refused", refused / total, refused, total),
    ]


def view_2_figures(lfw: Lfw) -> list[Figure]:
    """Accuracy over the folds, and TMR at FMR of all listed pairs."""
    pairs = [pair for fold in lfw.protocol.folds for pair in fold]
    fold = np.repeat(np.arange(len(lfw.protocol.folds)), [len(f) for f in lfw.protocol.folds])
    same = np.array([pair.same for pair in pairs])
    scores = lfw.sample.similarities(lfw.numbers([p.left for p in pairs]), lfw.numbers([p.right for p in pairs]))
    folds = fold_accuracy(scores, same, fold)
    low, high = min(folds.thresholds), max(folds.thresholds)
    note = f"sd {folds.deviation:.2%} of {len(folds.accuracies)} folds; thresholds {low:.4f}..{high:.4f}"
    figures = [Figure("View 2", "accuracy", folds.mean, folds.correct, folds.pairs, note=note)]
    for target in FMR_LISTED:
        rate = match_rate(scores[same], scores[~same], target)
        note = f"at {rate.threshold:.4f} {rate.false_matches} of {rate.impostors} impostor pairs match"
        interval = wilson(rate.matched, rate.genuine)
        name = f"TMR at FMR {target:g}"
        figures.append(Figure("View 2", name, rate.tmr, rate.matched, rate.genuine, interval, note))
    return figures


def open_set_figures(lfw: Lfw) -> list[Figure]:
    """Rank-1, and FNIR at FPIR with the threshold set on the strangers at hand."""
    answers = lfw.search(lfw.protocol.open_set())
    if not len(answers.own) or not len(answers.closest):
        return []
    found, probes = int(answers.first().sum()), len(answers.own)
    interval = answers.rank_one_interval(np.random.default_rng([SEED, 1]))
    note = f"{answers.people} people enrolled by one photo"
    figures = [Figure("open set", "rank-1", answers.rank_one(), found, probes, interval, note)]
    for number, target in enumerate(FPIR_OPEN_SET):
        threshold = answers.threshold_for(target)
        false, missed = int((answers.closest >= threshold).sum()), int(answers.missed(threshold).sum())
        interval = answers.fnir_interval(threshold, np.random.default_rng([SEED, 2, number]))
        note = f"at {threshold:.4f} {false} of {len(answers.closest)} strangers are taken for somebody"
        name = f"FNIR at FPIR {target:g}"
        figures.append(Figure("open set", name, answers.fnir(threshold), missed, probes, interval, note))
    return figures


def all_pairs_figures(lfw: Lfw) -> list[Figure]:
    """TMR, people with several photos weighing the same, at FMR of all impostor pairs, weighed in two ways."""
    genuine, figures = genuine_pairs(lfw.sample), []
    for equal, section in (
        (False, "all pairs, each impostor pair weighing the same"),
        (True, "all pairs, people alike"),
    ):
        impostors = impostor_pairs(lfw.sample, max(FMR_ALL_PAIRS), people_weigh_the_same=equal)
        for number, target in enumerate(FMR_ALL_PAIRS):
            threshold = impostors.threshold_for(target)
            people = len(np.unique(genuine.person))
            note = (
                f"{len(genuine.score)} pairs of {people} people; at {threshold:.4f} "
                f"{len(impostors.false_matches(threshold).score)} of {impostors.pairs} impostor pairs match"
            )
            interval = genuine.tmr_interval(threshold, np.random.default_rng([SEED, 3, number]))
            name = f"TMR at FMR {target:g}"
            figures.append(Figure(section, name, genuine.tmr(threshold), interval=interval, note=note))
    return figures


def _served_open_set(lfw: Lfw, serves: Callable[[int], Point]) -> list[Figure]:
    """The open set among the people outside, once with the protocol's strangers and once with all there are."""
    outside, figures = lfw.protocol.outside(), []
    listed, everybody = lfw.protocol.open_set(outside), lfw.protocol.open_set(outside, None)
    for photos, who in ((listed, "listed strangers"), (everybody, "all strangers")):
        answers = lfw.search(photos)
        if not len(answers.own) or not len(answers.closest):
            continue
        point = serves(answers.people)
        section = f"served, people outside View 1's test part, {who}"
        generator = np.random.default_rng([SEED, 4])
        false, missed = int((answers.closest >= point.threshold).sum()), int(answers.missed(point.threshold).sum())
        note = f"{answers.people} enrolled; {_where(point)}"
        fpir, strangers = answers.fpir(point.threshold), len(answers.closest)
        figures.append(Figure(section, "FPIR", fpir, false, strangers, wilson(false, strangers), note))
        interval = answers.fnir_interval(point.threshold, generator)
        fnir = answers.fnir(point.threshold)
        figures.append(Figure(section, "FNIR", fnir, missed, len(answers.own), interval, note))
    return figures


def _served_points(outside: Sample, points: Sequence[Point]) -> list[Figure]:
    """What each shipped point keeps of its promise on people who did not set it."""
    figures = _served_pairwise(outside, [p for p in points if p.gallery_size is None])
    for size in sorted({p.gallery_size for p in points if p.gallery_size is not None}):
        if size < outside.persons:
            figures += _served_galleries(outside, size, [p for p in points if p.gallery_size == size])
    return figures


def _served_pairwise(outside: Sample, points: Sequence[Point]) -> list[Figure]:
    if not points:
        return []
    impostors, genuine = impostor_pairs_from(outside, min(p.threshold for p in points)), genuine_pairs(outside)
    figures = []
    for point in points:
        false, missed = len(impostors.false_matches(point.threshold).score), 1 - genuine.tmr(point.threshold)
        interval = rate_interval(impostors, point.threshold, np.random.default_rng([SEED, 5]))
        note = f"{_where(point)}; {false} of {impostors.pairs} pairs match; misses {missed:.2%}"
        figures.append(Figure(SERVED_POINTS, "FMR", impostors.fmr(point.threshold), interval=interval, note=note))
    return figures


def _served_galleries(outside: Sample, size: int, points: Sequence[Point]) -> list[Figure]:
    splits = draw_splits(outside, size, np.random.default_rng([SEED, 6, size]))
    figures, searches, probes = [], len(splits.answers.closest), len(splits.answers.own)
    for point in points:
        false = len(splits.false_matches(point.threshold).score)
        missed = int(splits.answers.missed(point.threshold).sum())
        interval = rate_interval(splits, point.threshold, np.random.default_rng([SEED, 7, size]))
        note = f"{_where(point)}; misses {splits.miss(point.threshold):.2%} ({missed} of {probes})"
        fpir = splits.fpir(point.threshold)
        figures.append(Figure(SERVED_POINTS, "FPIR", fpir, false, searches, interval, note))
    return figures


def _where(point: Point) -> str:
    return f"{point.name}, {point.support}, at {point.threshold:.4f}"
