from collections.abc import Callable

import numpy as np
import pytest

from models.measure.calibrate import calibrate
from models.measure.elsewhere import calibrates, coverage, half, kept_elsewhere, reliability_among, subsampled
from models.measure.likelihood import choose
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


@pytest.fixture
def sample(make_sample: MakeSample) -> Sample:
    return make_sample(240, seed=8, most_photos=3, missing=0.02, size=32)


def test_the_committed_rule_halves_people_by_name_alone() -> None:
    labels = [f"Person_{i}" for i in range(2000)]
    share = np.mean([calibrates(label) for label in labels])
    assert 0.45 < share < 0.55
    # Fixed for ever: whoever calibrated must not measure one day.
    assert [calibrates(label) for label in ("Aaron_Eckhart", "George_W_Bush", "00001")] == [False, True, False]


def test_nobody_is_in_both_halves(sample: Sample) -> None:
    chosen = np.arange(sample.persons) % 3 == 0
    ours, theirs = half(sample, chosen)
    assert (ours.persons, theirs.persons) == (80, 160)
    assert len(ours) + len(theirs) == len(sample)
    assert len(ours) == chosen[sample.person].sum()


def test_points_keep_about_their_rate_on_other_people(sample: Sample) -> None:
    ours, theirs = half(sample, np.arange(sample.persons) % 2 == 0)
    points = calibrate(ours, model_id="m", name="n", seed=1, sizes=(10, 30), splits=40).identification
    kept = kept_elsewhere(points, theirs, seed=1, splits=40)
    assert [k.point for k in kept] == list(points)
    for one in kept:
        assert one.strangers == theirs.persons - one.point.gallery_size
        assert one.inside == (one.point.interval[0] <= one.fpir <= one.point.interval[1])
    loose = next(k for k in kept if k.point.target == 0.1)
    assert 0.05 < loose.fpir < 0.2


def test_a_point_for_more_people_than_there_are_is_left_out(sample: Sample) -> None:
    ours, theirs = half(sample, np.arange(sample.persons) % 20 != 0)
    points = calibrate(ours, model_id="m", name="n", seed=1, sizes=(10, 30), splits=10).identification
    assert {k.point.gallery_size for k in kept_elsewhere(points, theirs, seed=1, splits=5)} == {10}


def test_intervals_hold_in_most_halvings(sample: Sample) -> None:
    covered = {c.name: c for c in coverage(sample, (10,), seed=3, halvings=8, splits=15)}
    loose = covered["fpir-0.1-of-10, measured"]
    assert loose.halvings == 8
    assert 5 <= loose.inside <= loose.not_above <= 8


def test_subsampling_halves_the_strangers_of_one_gallery(sample: Sample) -> None:
    found = subsampled(sample, 160, 0.1, seed=1, repeats=12)
    assert (found.size, found.strangers, len(found.fpir)) == (160, 40, 12)
    assert found.inside == sum(lo <= f <= hi for lo, f, hi in zip(found.low, found.fpir, found.high, strict=True))
    assert found.inside >= 7
    assert found.fpir.mean() == pytest.approx(0.1, abs=0.06)


def test_subsampling_needs_two_strangers(sample: Sample) -> None:
    with pytest.raises(ValueError, match="leaves no strangers"):
        subsampled(sample, 239, 0.1, seed=1, repeats=1)


def test_what_is_said_of_the_closest_of_many_is_about_right(sample: Sample) -> None:
    ours, theirs = half(sample, np.arange(sample.persons) % 2 == 0)
    chosen = choose(ours, seed=1)
    assert chosen is not None
    told = reliability_among(30, chosen.likelihood.knots, theirs, seed=1, splits=30)
    assert told.share.sum() == pytest.approx(1.0)
    assert told.share @ np.abs(told.said - told.so) < 0.15
    assert told.share @ told.said == pytest.approx(told.share @ told.so, abs=0.1)
