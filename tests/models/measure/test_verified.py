from collections.abc import Callable

import numpy as np
import pytest

from models.measure.all_pairs import genuine_pairs
from models.measure.sample import Sample
from models.measure.verified import CURVE_POINTS, AllPairs, genuine_photos

MakeSample = Callable[..., Sample]


def test_the_photos_of_a_genuine_pair_are_told_in_its_order(make_sample: MakeSample) -> None:
    sample = make_sample(15)
    left, right = genuine_photos(sample)
    assert sample.similarities(left, right) == pytest.approx(genuine_pairs(sample).score, abs=1e-6)


def test_figures_and_curve_agree_and_a_tighter_rate_finds_fewer(make_sample: MakeSample) -> None:
    pairs = AllPairs.of(make_sample(40, noise=0.8), 0.1)
    figures = pairs.figures("all pairs", [0.1, 0.01])
    curve = pairs.curve(0.01, 0.1)
    assert len(curve.x) == CURVE_POINTS
    assert curve.y[0] == pytest.approx(figures[1].figure.value)
    assert curve.y[-1] == pytest.approx(figures[0].figure.value)
    assert (np.diff(curve.y) >= 0).all()
    assert (curve.low <= curve.y + 0.02).all()
    assert figures[0].figure.interval is not None
    assert "impostor pairs match" in figures[0].figure.note


def test_two_models_are_measured_with_the_same_draws(make_sample: MakeSample) -> None:
    sample = make_sample(20)
    first, second = (AllPairs.of(sample, 0.1).figures("all pairs", [0.1])[0] for _ in range(2))
    assert np.array_equal(first.replicates, second.replicates)


def test_fifths_by_quality_hold_every_genuine_pair_once(make_sample: MakeSample) -> None:
    sample = make_sample(40, noise=0.8)
    quality = np.random.default_rng(2).random(len(sample))
    pairs = AllPairs.of(sample, 0.1)
    bins = pairs.by_quality("quality", quality)
    counts = [int(one.figure.note.split()[0]) for one in bins]
    assert len(bins) == 5
    assert sum(counts) == len(pairs.genuine.score)
    # Pairs that share their worse photo stay together.
    assert all(0.17 < count / sum(counts) < 0.23 for count in counts)


def test_the_rate_of_a_fifth_is_that_of_a_slow_loop(make_sample: MakeSample) -> None:
    sample = make_sample(40, noise=0.8)
    quality = np.random.default_rng(2).random(len(sample))
    pairs = AllPairs.of(sample, 0.1)
    threshold = pairs.impostors.threshold_for(1e-3)
    left, right = genuine_photos(sample)
    worse = [min(quality[i], quality[j]) for i, j in zip(left, right, strict=True)]
    low, high = np.quantile(worse, [0, 0.2])
    shares: dict[int, list[bool]] = {}
    for i, j, q in zip(left, right, worse, strict=True):
        if low <= q < high:
            found = sample.found[i] and sample.found[j]
            shares.setdefault(int(sample.person[i]), []).append(
                bool(found and float(sample.vectors[i] @ sample.vectors[j]) >= threshold)
            )
    expected = np.mean([np.mean(own) for own in shares.values()])
    assert pairs.by_quality("quality", quality)[0].figure.value == pytest.approx(expected)


def test_equal_qualities_stay_in_one_bin(make_sample: MakeSample) -> None:
    sample = make_sample(20)
    (only,) = AllPairs.of(sample, 0.1).by_quality("quality", np.ones(len(sample)))
    assert "quality 1.000 .. 1.000" in only.figure.measure


def test_those_as_good_as_the_best_stand_alone_and_the_others_make_four_parts(make_sample: MakeSample) -> None:
    sample = make_sample(60, most_photos=2, noise=0.8)
    quality = np.minimum(1, np.random.default_rng(2).uniform(0.3, 1.7, len(sample)))
    bins = AllPairs.of(sample, 0.1).by_quality("quality", quality)
    assert len(bins) == 5
    assert "quality 1.000 .. 1.000" in bins[-1].figure.measure
    counts = [int(one.figure.note.split()[0]) for one in bins]
    assert max(counts[:-1]) - min(counts[:-1]) <= max(counts[:-1]) // 3
