from collections.abc import Callable

import numpy as np
import pytest

from models.measure.galleries import by_size, open_set_measured
from models.measure.gallery import OpenSet
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


@pytest.fixture
def answers() -> OpenSet:
    """Four enrolled people with two probes each, and ten strangers with one photo each; persons 0..3 and 4..13."""
    return OpenSet(
        own=np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, -np.inf]),
        rival=np.array([0.1, 0.1, 0.1, 0.65, 0.1, 0.1, 0.1, -np.inf]),
        probe=np.repeat(np.arange(4), 2),
        closest=np.array([0.55, 0.45, 0.35, 0.2, 0.2, 0.1, 0.1, 0.1, 0.0, -np.inf]),
        stranger=np.arange(4, 14),
        lookalike=np.zeros(10, np.int64),
        people=4,
    )


def test_counts_are_those_that_can_be_done_by_hand(answers: OpenSet) -> None:
    rank_one, at_10, at_1 = (one.figure for one in open_set_measured("open set", answers, 14))
    # The fourth probe is closer to somebody else; the last shows no face.
    assert (rank_one.count, rank_one.of) == (6, 8)
    # One of ten strangers may be let in: the threshold lies just above 0.45, and 0.9, 0.8, 0.7 and 0.5 are found.
    assert (at_10.count, at_10.of) == (4, 8)
    assert "1 of 10 stranger photos" in at_10.note
    # None of ten: just above 0.55.
    assert (at_1.count, at_1.of) == (5, 8)
    assert at_1.interval is not None
    assert at_1.interval[0] < at_1.value < at_1.interval[1]


def test_galleries_that_leave_no_stranger_are_passed_over(make_sample: MakeSample) -> None:
    sample = make_sample(60, noise=0.8)
    figures, curves = by_size("random galleries", sample, (10, 40, 60, 100))
    assert [one.figure.measure for one in figures][::2] == ["FNIR at FPIR 0.1 of 10", "FNIR at FPIR 0.1 of 40"]
    assert set(curves) == {0.1, 0.01}
    assert curves[0.1].x.tolist() == [10, 40]
    assert curves[0.1].y.tolist() == [figures[0].figure.value, figures[2].figure.value]
    assert (curves[0.01].y >= curves[0.1].y).all()
