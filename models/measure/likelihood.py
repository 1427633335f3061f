"""How likely a similarity means the same person: fitted in two ways, chosen by the Brier score on other people.

What is fitted is the logarithm of the odds when as many comparisons are of one person as of two (the prior, one half).
That is the likelihood ratio of a similarity, from which the odds under any other prior follow. It is judged at both of
its uses: 1:1 at that prior, and 1:K, where the odds of any one person are a K-th of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from models.measure.isotonic import pool_adjacent_violators
from models.measure.pair_scores import CELLS, MIDDLES, PairScores, pair_scores
from models.measure.platt import fit_logistic
from models.measure.sample import Bools, Floats, Ints, Sample

PRIOR = 0.5
ISOTONIC, PLATT = "isotonic", "platt"
FOLDS = 5
LEAST_TWICE = 30
GALLERY = 100
# Cells that the isotonic fit starts from: a twentieth wide, each of many comparisons.
WIDTH = CELLS // 40
RELIABILITY_BINS = 10
DECIMALS = 6

Knots = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to fit, judged on people who were not fitted on, by the Brier score, the mean over folds.

    verification: of pairs, both kinds weighing the same; identification: of searches among 100 people, half of them by
    strangers.
    """

    method: str
    verification: float
    identification: float


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The log-odds of a match at the prior, in straight lines between the knots (similarity, log-odds), level outside.

    twice: people with two photos, whom genuine pairs come from; genuine, impostors: pairs of photos; trials: every way
    that was tried, the one that was taken first.
    """

    method: str
    prior: float
    knots: Knots
    people: int
    twice: int
    genuine: int
    impostors: int
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of held-out people: what was said, and what was so. Float64 (bins,) each, bins without a comparison left out.

    said: mean probability; so: share of pairs of one person, at the prior; share: of all comparisons.
    """

    said: Floats
    so: Floats
    share: Floats


@dataclass(frozen=True, slots=True)
class Choice:
    """The likelihood, and how reliable each way to fit was."""

    likelihood: Likelihood
    reliability: Mapping[str, Reliability]


def choose(sample: Sample, *, seed: int) -> Choice | None:
    """Fits both ways on four fifths of the people at a time, judges them on the other fifth, fits the better on all.

    None where fewer than 30 people have two photos with a face: too few to say how alike one person's photos are.
    """
    scores = pair_scores(sample)
    if scores.twice < LEAST_TWICE:
        return None
    trials, told = _tried(sample, seed)
    ranked = sorted(
        (Trial(method, *map(_rounded, np.mean(folds, axis=0))) for method, folds in trials.items()),
        key=lambda trial: trial.verification + trial.identification,
    )
    best = ranked[0].method
    likelihood = Likelihood(
        method=best,
        prior=PRIOR,
        knots=METHODS[best](scores),
        people=scores.people,
        twice=scores.twice,
        genuine=scores.genuine_pairs,
        impostors=scores.impostor_pairs,
        trials=tuple(ranked),
    )
    return Choice(likelihood, {method: _reliability(*rows) for method, rows in told.items()})


def probability(knots: Knots, similarity: Floats, *, among: int = 1) -> Floats:
    """The chance of a match, float64 like `similarity`, where the prior odds are one to `among`."""
    at, odds = zip(*knots, strict=True)
    share: Floats = 1 / (1 + among * np.exp(-np.interp(similarity, at, odds)))
    return share


def brier(said: Floats, scores: PairScores) -> float:
    """Mean squared difference of what is said in a cell and what is so, both kinds weighing the same (Brier 1950)."""
    return float(scores.genuine @ (1 - said) ** 2 + scores.impostor @ said**2) / 2


def brier_among(people: int, knots: Knots, scores: PairScores) -> float:
    """The same of searches in a gallery of so many, half of them by strangers, the closest person being judged.

    A stranger's closest person is taken for the closest of so many independent ones, a rightful one's for the own.
    """
    said = probability(knots, MIDDLES, among=people)
    below = np.minimum(np.cumsum(scores.impostor), 1.0) ** people
    closest = np.diff(below, prepend=0.0)
    return float(scores.genuine @ (1 - said) ** 2 + closest @ said**2) / 2


def fit_platt(scores: PairScores) -> Knots:
    """A logistic curve, as two knots: its log-odds are one straight line. Raises ValueError where that falls."""
    targets = ((scores.twice + 1) / (scores.twice + 2), 1 / (scores.pairs_of_people + 2))
    slope, offset = fit_logistic(MIDDLES, scores.genuine, scores.impostor, targets)
    if slope <= 0:
        raise ValueError("photos of one person are no more alike than those of two: the labels or the model are wrong")
    return tuple((at, _rounded(slope * at + offset)) for at in (-1.0, 1.0))


def fit_isotonic(scores: PairScores) -> Knots:
    """A rising step for each pooled cell, as one knot in its middle.

    Half a person is added to the genuine, spread over the cells, and half a pair of people to the impostors of each:
    where nothing of the one kind was seen the odds stay finite, and say no more than so many people can.
    """
    seen = np.flatnonzero(scores.genuine + scores.impostor)
    cells = slice(seen[0] // WIDTH, seen[-1] // WIDTH + 1)
    genuine, impostor = _wide(scores.genuine)[cells], _wide(scores.impostor)[cells]
    genuine = genuine + 0.5 / scores.twice / len(genuine)
    impostor = impostor + 0.5 / scores.pairs_of_people
    place = _wide(MIDDLES)[cells] / WIDTH
    every = genuine + impostor
    share = pool_adjacent_violators(genuine / every, every)
    knots = []
    for value in np.unique(share):
        pooled = share == value
        at = float(every[pooled] @ place[pooled] / every[pooled].sum())
        knots.append((_rounded(at), _rounded(np.log(genuine[pooled].sum() / impostor[pooled].sum()))))
    return tuple(knots)


METHODS: Mapping[str, Callable[[PairScores], Knots]] = {ISOTONIC: fit_isotonic, PLATT: fit_platt}


def reliability_of(said: Floats, right: Bools, weight: Floats) -> Reliability:
    """Of single answers: what was said of each, float64 (n,), whether it was right, and what it weighs."""
    bin_of = _bins(said)
    every, told, genuine = (
        np.bincount(bin_of, row, minlength=RELIABILITY_BINS) for row in (weight, weight * said, weight * right)
    )
    return _reliability(every.astype(np.float64), told.astype(np.float64), genuine.astype(np.float64))


def _tried(sample: Sample, seed: int) -> tuple[dict[str, list[tuple[float, float]]], dict[str, Floats]]:
    """Of each way to fit both Brier scores of each fold, and what was said in each bin: float64 (3, bins)."""
    trials: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    told: dict[str, Floats] = {method: np.zeros((3, RELIABILITY_BINS)) for method in METHODS}
    for held in _folds(sample, seed):
        fitted_on, judged_on = (pair_scores(_people(sample, part)) for part in (~held, held))
        for method, fit in METHODS.items():
            if method not in trials:
                continue
            try:
                knots = fit(fitted_on)
            except ValueError:
                # A curve that does not fit these people is not in the running; steps always do.
                del trials[method], told[method]
                continue
            said = probability(knots, MIDDLES)
            trials[method].append((brier(said, judged_on), brier_among(GALLERY, knots, judged_on)))
            told[method] += _tallied(said, judged_on)
    return trials, told


def _folds(sample: Sample, seed: int) -> list[Bools]:
    """For each fold who is judged on, bool (persons,). Who comes twice is dealt out first: each fold has some."""
    generator = np.random.default_rng([seed, 5])
    faces = np.bincount(sample.person[sample.found], minlength=sample.persons)
    shuffled = generator.permutation(sample.persons)
    dealt = shuffled[np.argsort(faces[shuffled] < 2, kind="stable")]
    fold = np.empty(sample.persons, np.int64)
    fold[dealt] = np.arange(sample.persons) % FOLDS
    return [fold == number for number in range(FOLDS)]


def _people(sample: Sample, chosen: Bools) -> Sample:
    return sample.part(np.flatnonzero(chosen[sample.person]))


def _tallied(said: Floats, scores: PairScores) -> Floats:
    """Weight, weight x said, and weight of the genuine, in each bin of what was said: float64 (3, bins)."""
    bin_of = _bins(said)
    every = (scores.genuine + scores.impostor) / 2
    rows = (every, every * said, scores.genuine / 2)
    return np.stack([np.bincount(bin_of, row, minlength=RELIABILITY_BINS) for row in rows])


def _bins(said: Floats) -> Ints:
    bins: Ints = np.minimum((said * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    return bins


def _reliability(weight: Floats, said: Floats, genuine: Floats) -> Reliability:
    some = weight > 0
    return Reliability(said[some] / weight[some], genuine[some] / weight[some], weight[some] / weight.sum())


def _wide(cells: Floats) -> Floats:
    summed: Floats = cells.reshape(-1, WIDTH).sum(axis=1)
    return summed


def _rounded(number: float | np.floating) -> float:
    return round(float(number), DECIMALS)
