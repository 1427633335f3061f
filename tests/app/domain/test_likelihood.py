import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.likelihood import Likelihood, Trial
from models.measure.likelihood import probability

KNOTS = ((0.1, -3.0), (0.4, 1.0), (0.6, 5.0))


def likelihood(knots=KNOTS, prior: float = 0.5) -> Likelihood:
    return Likelihood("isotonic", prior, knots, 100, 50, 60, 4000, (Trial("isotonic", 0.01, 0.02),))


@given(st.floats(-1, 1), st.integers(1, 100_000))
def test_says_what_the_fit_said(similarity: float, compared: int) -> None:
    one = likelihood()
    at = np.array([similarity])
    assert one.of_match(similarity) == pytest.approx(probability(KNOTS, at)[0], rel=1e-9)
    assert one.of_person(similarity, compared) == pytest.approx(probability(KNOTS, at, among=compared)[0], rel=1e-9)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_closer_face_is_never_less_likely(one: float, other: float) -> None:
    low, high = sorted((one, other))
    said = likelihood()
    assert said.of_match(low) <= said.of_match(high)
    assert said.of_person(low, 50) <= said.of_person(high, 50)


def test_the_more_are_compared_the_less_likely_the_closest_is_right() -> None:
    said = [likelihood().of_person(0.5, compared) for compared in (1, 10, 100, 1000)]
    assert said == sorted(said, reverse=True)
    assert said[0] == likelihood().of_match(0.5)


def test_another_prior_of_the_fit_is_taken_out_again() -> None:
    shifted = tuple((at, odds + math.log(0.2 / 0.8)) for at, odds in KNOTS)
    assert likelihood(shifted, prior=0.2).of_match(0.5) == pytest.approx(likelihood().of_match(0.5))


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_where_nothing_was_compared_nothing_is_said(nothing: float | None) -> None:
    assert likelihood().of_match(nothing) is None
    assert likelihood().of_person(nothing, 10) is None


def test_extreme_odds_do_not_overflow() -> None:
    steep = likelihood(((0.0, -2000.0), (1.0, 2000.0)))
    assert (steep.of_match(-1.0), steep.of_match(1.0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    "knots",
    [
        (),
        ((0.2, 1.0), (0.1, 2.0)),
        ((0.1, 1.0), (0.1, 2.0)),
        ((0.1, 1.0), (0.2, 0.5)),
        ((0.1, math.nan),),
        ((math.inf, 1.0),),
    ],
)
def test_refuses_knots_that_do_not_rise(knots) -> None:
    with pytest.raises(ValueError, match="knots"):
        likelihood(knots)


@pytest.mark.parametrize("prior", [0.0, 1.0, math.nan])
def test_refuses_a_prior_that_leaves_nothing_open(prior: float) -> None:
    with pytest.raises(ValueError, match="prior"):
        likelihood(prior=prior)
