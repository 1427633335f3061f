import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from models.measure import likelihood as module
from models.measure.likelihood import (
    ISOTONIC,
    METHODS,
    PLATT,
    brier,
    brier_among,
    choose,
    fit_isotonic,
    fit_platt,
    probability,
    reliability_of,
)
from models.measure.pair_scores import MIDDLES, PairScores, pair_scores
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]
KNOTS = ((0.1, -3.0), (0.4, 1.0), (0.6, 5.0))


@pytest.fixture
def sample(make_sample: MakeSample) -> Sample:
    return make_sample(150, seed=5, most_photos=3, missing=0.02, size=32)


@pytest.fixture
def scores(sample: Sample) -> PairScores:
    return pair_scores(sample)


def test_between_knots_the_odds_are_straight_and_outside_they_stay() -> None:
    def share(odds: float) -> float:
        return 1 / (1 + math.exp(-odds))

    for at, odds in ((-1.0, -3.0), (0.1, -3.0), (0.25, -1.0), (0.5, 3.0), (0.9, 5.0)):
        assert probability(KNOTS, np.array([at]))[0] == pytest.approx(share(odds))


def test_among_so_many_the_odds_are_a_share_of_those_of_a_pair() -> None:
    one, many = (probability(KNOTS, np.array([0.5]), among=n)[0] for n in (1, 100))
    assert many / (1 - many) == pytest.approx(one / (1 - one) / 100)


def test_brier_is_that_of_a_slow_loop(scores: PairScores) -> None:
    said = probability(KNOTS, MIDDLES)
    slow = 0.0
    for p, g, i in zip(said, scores.genuine, scores.impostor, strict=True):
        slow += 0.5 * g * (1 - p) ** 2 + 0.5 * i * p**2
    assert brier(said, scores) == pytest.approx(slow, rel=1e-12)


def test_brier_among_people_is_that_of_drawn_searches(scores: PairScores) -> None:
    generator = np.random.default_rng(0)
    closest = generator.choice(MIDDLES, p=scores.impostor, size=(20_000, 10)).max(axis=1)
    drawn = (probability(KNOTS, closest, among=10) ** 2).mean()
    genuine = scores.genuine @ (1 - probability(KNOTS, MIDDLES, among=10)) ** 2
    assert brier_among(10, KNOTS, scores) == pytest.approx((drawn + genuine) / 2, rel=0.02)


def test_one_half_said_of_everything_scores_a_quarter(scores: PairScores) -> None:
    assert brier(np.full(len(MIDDLES), 0.5), scores) == pytest.approx(0.25)


@pytest.mark.parametrize("fit", METHODS.values(), ids=METHODS.keys())
def test_a_fit_rises_and_is_finite(fit, scores: PairScores) -> None:
    knots = fit(scores)
    assert len(knots) <= 40
    assert all(math.isfinite(number) for knot in knots for number in knot)
    assert all(b[0] > a[0] and b[1] >= a[1] for a, b in pairwise(knots))


@pytest.mark.parametrize("fit", METHODS.values(), ids=METHODS.keys())
def test_a_fit_is_better_than_half_and_nearly_right_on_average(fit, scores: PairScores) -> None:
    said = probability(fit(scores), MIDDLES)
    assert brier(said, scores) < 0.15
    assert said @ (scores.genuine + scores.impostor) / 2 == pytest.approx(0.5, abs=0.03)


def test_platt_is_a_straight_line_of_odds(scores: PairScores) -> None:
    (left, low), (right, high) = fit_platt(scores)
    assert (left, right) == (-1.0, 1.0)
    assert low < 0 < high


def test_platt_refuses_people_who_are_less_alike_to_themselves(scores: PairScores) -> None:
    with pytest.raises(ValueError, match="no more alike"):
        fit_platt(PairScores(scores.impostor, scores.genuine, 40, 50, 40, 1225))


def test_isotonic_where_nothing_overlaps_says_no_more_than_its_people_can() -> None:
    genuine, impostor = np.zeros(len(MIDDLES)), np.zeros(len(MIDDLES))
    genuine[1700], impostor[1000] = 1.0, 1.0
    knots = fit_isotonic(PairScores(genuine, impostor, 40, 50, 40, 1225))
    assert knots[-1][1] == pytest.approx(math.log(1225 / 0.5), abs=0.2)
    assert knots[0][1] == pytest.approx(-math.log(40 / 0.5), abs=4)


def test_the_better_brier_score_is_taken(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose(sample, seed=1)
    assert chosen is not None
    sums = [trial.verification + trial.identification for trial in chosen.likelihood.trials]
    assert sums == sorted(sums)
    assert chosen.likelihood.method == chosen.likelihood.trials[0].method
    # With the winner made to deny every match, the other one is taken.
    denying = {**METHODS, chosen.likelihood.method: lambda scores: ((0.0, -9.0),)}
    monkeypatch.setattr(module, "METHODS", denying)
    again = choose(sample, seed=1)
    assert again is not None
    assert again.likelihood.method == chosen.likelihood.trials[1].method


def test_whoever_is_judged_was_not_fitted_on(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[np.ndarray] = []
    people = module._people

    def noted(sample: Sample, chosen: np.ndarray) -> Sample:
        parts.append(chosen)
        return people(sample, chosen)

    monkeypatch.setattr(module, "_people", noted)
    choose(sample, seed=1)
    fitted, judged = parts[::2], parts[1::2]
    assert len(judged) == module.FOLDS
    assert (sum(part.astype(int) for part in judged) == 1).all()
    assert all((~one == other).all() for one, other in zip(fitted, judged, strict=True))


def test_a_fit_that_fails_is_not_in_the_running(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(scores: PairScores) -> None:
        raise ValueError("no curve")

    monkeypatch.setattr(module, "METHODS", {ISOTONIC: fit_isotonic, PLATT: failing})
    chosen = choose(sample, seed=1)
    assert chosen is not None
    assert [trial.method for trial in chosen.likelihood.trials] == [ISOTONIC]
    assert set(chosen.reliability) == {ISOTONIC}


def test_too_few_who_come_twice_have_no_likelihood(make_sample: MakeSample) -> None:
    assert choose(make_sample(20), seed=1) is None


def test_the_same_seed_gives_the_same_choice(sample: Sample) -> None:
    one, other = choose(sample, seed=4), choose(sample, seed=4)
    assert one is not None
    assert other is not None
    assert one.likelihood == other.likelihood


def test_reliability_is_that_of_a_slow_loop() -> None:
    generator = np.random.default_rng(2)
    said, weight = generator.random(200), generator.random(200)
    right = generator.random(200) < said
    told = reliability_of(said, right, weight)
    bins = [[i for i in range(200) if int(said[i] * 10) == b] for b in range(10)]
    for number, inside in enumerate(bins):
        total = sum(weight[i] for i in inside)
        assert told.said[number] == pytest.approx(sum(weight[i] * said[i] for i in inside) / total)
        assert told.so[number] == pytest.approx(sum(weight[i] * right[i] for i in inside) / total)
        assert told.share[number] == pytest.approx(total / weight.sum())
