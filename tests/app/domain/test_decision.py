import math
from datetime import UTC, datetime

import pytest

from app.domain.decision import Candidate, Match, NoMatch, NotRecognized, Recognized, distance, identify, verify
from app.domain.operating_point import OperatingPoint
from app.domain.person import Person

POINT = OperatingPoint("p", "fmr", 0.01, 0.5, "measured", 0.01, (0.0, 0.02), 9, 9, 9, None, 0.1, "m")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def candidate(who, similarity):
    return Candidate(Person(who, who, NOW, NOW), f"tpl-{who}", similarity)


@pytest.mark.parametrize(("similarity", "expected"), [(1.0, 0.0), (0.0, 2.0), (-1.0, 4.0), (0.5, 1.0)])
def test_distance_is_squared_euclidean(similarity, expected):
    assert distance(similarity) == expected


def test_the_threshold_itself_is_a_match():
    assert verify(0.5, "t", POINT) == Match(0.5, "t")
    assert verify(math.nextafter(0.5, 0), "t", POINT).reason == "below_threshold"


@pytest.mark.parametrize("similarity", [math.nan, -math.inf, None])
def test_what_is_no_number_is_no_match(similarity):
    assert isinstance(verify(similarity, "t", POINT), NoMatch)


@pytest.mark.parametrize(
    ("similarity", "more", "reason"),
    [
        (0.9, {"validity": "expired"}, "expired"),
        (0.4, {"validity": "expired"}, "below_threshold"),
        (0.4, {"quality": 0.2, "quality_floor": 0.3}, "poor_quality"),
        (0.4, {"quality": 0.3, "quality_floor": 0.3}, "below_threshold"),
        (0.9, {"quality": 0.2, "min_quality": 0.3}, "poor_quality"),
        (0.9, {"quality": math.nan, "min_quality": 0.3}, "poor_quality"),
        (0.4, {"quality": math.nan, "quality_floor": 0.3}, "poor_quality"),
    ],
)
def test_a_no_has_its_reason(similarity, more, reason):
    assert verify(similarity, "t", POINT, **more).reason == reason


def test_a_poor_face_that_matches_is_a_match():
    assert isinstance(verify(0.9, "t", POINT, quality=0.1, quality_floor=0.3), Match)


def test_nobody_is_recognized_in_an_empty_gallery():
    assert identify([], POINT) == NotRecognized(None, None, "empty_gallery")


def test_the_first_is_recognized_with_the_margin_to_the_second():
    first, second = candidate("ann", 0.9), candidate("bob", 0.6)
    assert identify([first, second], POINT) == Recognized(first, pytest.approx(0.3))
    assert identify([first], POINT) == Recognized(first, None)


@pytest.mark.parametrize(("second", "least", "reason"), [(0.9, 0.0, "ambiguous"), (0.85, 0.1, "ambiguous")])
def test_a_second_who_is_as_close_or_too_close_makes_it_ambiguous(second, least, reason):
    answer = identify([candidate("ann", 0.9), candidate("bob", second)], POINT, least_margin=least)
    assert answer.reason == reason


def test_a_stranger_is_below_the_threshold_even_between_two_equals():
    answer = identify([candidate("ann", 0.4), candidate("bob", 0.4)], POINT)
    assert answer == NotRecognized(0.4, 0.0, "below_threshold")
