from collections.abc import Callable

import numpy as np
import pytest

from models.measure.comparisons import rate_interval
from models.measure.sample import Sample
from models.measure.splits import draw_splits

MakeSample = Callable[..., Sample]


def test_each_split_enrols_so_many_people_and_everybody_else_is_a_stranger_once(make_sample: MakeSample) -> None:
    splits = draw_splits(make_sample(40), 12, np.random.default_rng(0), splits=6)
    assert splits.enrolled.shape == (6, 40)
    assert (splits.enrolled.sum(axis=1) == 12).all()
    for number, strangers in enumerate(splits.answers.stranger.reshape(6, 28)):
        assert sorted(strangers) == np.flatnonzero(~splits.enrolled[number]).tolist()
    assert splits.independent == 28


def test_nobody_is_searched_with_the_very_photo_that_was_enrolled(make_sample: MakeSample) -> None:
    splits = draw_splits(make_sample(40, missing=0), 20, np.random.default_rng(1), splits=30)
    assert splits.answers.own.max() < 0.9999
    assert len(splits.answers.own) > 0


def test_the_rate_is_the_mean_over_splits(make_sample: MakeSample) -> None:
    splits = draw_splits(make_sample(40), 10, np.random.default_rng(2), splits=8)
    rates = [(scores >= 0.5).mean() for scores in splits.answers.closest.reshape(8, 30)]
    assert splits.fpir(0.5) == pytest.approx(np.mean(rates))
    assert splits.fpir(splits.threshold_for(0.1)) <= 0.1


def test_a_false_match_weighs_its_stranger_and_the_person_it_was_taken_for(make_sample: MakeSample) -> None:
    splits = draw_splits(make_sample(30), 10, np.random.default_rng(3), splits=4)
    drawn = np.random.default_rng(4).integers(0, 3, 30).astype(float)
    false = splits.false_matches(0.4)
    slow = [drawn[a] * drawn[b] for a, b in zip(false.first, false.second, strict=True)]
    assert false.redrawn(drawn) == pytest.approx(slow)
    searches = 0.0
    for enrolled in splits.enrolled:
        for stranger in np.flatnonzero(~enrolled):
            searches += drawn[stranger] * drawn[enrolled].sum() / 10
    assert splits.totals(drawn[None, :])[0] == pytest.approx(searches)


def test_counted_once_each_the_weights_give_the_rate_itself(make_sample: MakeSample) -> None:
    splits = draw_splits(make_sample(30), 10, np.random.default_rng(5), splits=4)
    ones = np.ones(30)
    rate = splits.false_matches(0.4).redrawn(ones).sum() / splits.totals(ones[None, :])[0]
    assert rate == pytest.approx(splits.fpir(0.4))
    low, high = rate_interval(splits, 0.4, np.random.default_rng(6))
    assert low < rate < high


def test_the_same_seed_draws_the_same_galleries(make_sample: MakeSample) -> None:
    first, second = (draw_splits(make_sample(30), 10, np.random.default_rng(7), splits=3) for _ in range(2))
    assert (first.enrolled == second.enrolled).all()
    assert (first.answers.closest == second.answers.closest).all()


def test_small_galleries_are_drawn_more_often(make_sample: MakeSample) -> None:
    sample = make_sample(40)
    assert len(draw_splits(sample, 10, np.random.default_rng(0)).enrolled) == 300
    assert len(draw_splits(sample, 35, np.random.default_rng(0)).enrolled) == 100


def test_refuses_a_gallery_that_leaves_no_stranger(make_sample: MakeSample) -> None:
    with pytest.raises(ValueError, match="more than 10 people"):
        draw_splits(make_sample(10), 10, np.random.default_rng(0))
