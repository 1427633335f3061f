from collections.abc import Callable

import numpy as np

from models.measure.all_pairs import Impostors, impostor_pairs
from models.measure.extrapolate import extrapolated
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


def impostors(make_sample: MakeSample, people: int) -> Impostors:
    return impostor_pairs(make_sample(people, seed=2, most_photos=2, missing=0, size=64), 0.1)


def test_the_tail_of_few_people_foretells_the_threshold_of_many(make_sample: MakeSample) -> None:
    few, many = impostors(make_sample, 150), impostors(make_sample, 900)
    reached = extrapolated(few, 1e-4, -1.0, np.random.default_rng(0))
    assert reached is not None
    assert abs(reached.threshold - many.threshold_for(1e-4)) < 0.04
    assert reached.interval[0] < 1e-4 < reached.interval[1]


def test_never_below_what_the_sample_itself_contradicts(make_sample: MakeSample) -> None:
    few = impostors(make_sample, 150)
    free = extrapolated(few, 1e-4, -1.0, np.random.default_rng(0))
    assert free is not None
    least = free.threshold + 0.01
    bound = extrapolated(few, 1e-4, least, np.random.default_rng(0))
    assert bound is not None
    assert bound.threshold == least
    assert bound.interval[1] < free.interval[1]


def test_no_threshold_where_tail_and_sample_contradict_each_other(make_sample: MakeSample) -> None:
    assert extrapolated(impostors(make_sample, 150), 1e-4, 0.99, np.random.default_rng(0)) is None


def test_no_threshold_where_scores_are_too_few(make_sample: MakeSample) -> None:
    assert extrapolated(impostors(make_sample, 20), 1e-3, -1.0, np.random.default_rng(0)) is None


def test_no_threshold_where_the_tail_cannot_be_trusted_so_far(make_sample: MakeSample) -> None:
    assert extrapolated(impostors(make_sample, 60), 1e-9, -1.0, np.random.default_rng(0)) is None
