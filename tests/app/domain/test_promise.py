from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.operating_point import EXTRAPOLATED, MEASURED, OUTGROWN, Calibration, OperatingPoint
from app.domain.promise import Promise, keep, up_to_two_digits, weigh
from app.errors import UnsupportedTarget


def point(target: float, size: int, threshold: float, support: str = MEASURED, high: float | None = None):
    high = 1.5 * target if high is None else high
    interval = (target / 2, high)
    name = f"fpir-{target:g}-of-{size}"
    return OperatingPoint(name, "fpir", target, threshold, support, target, interval, 300, 900, 90, size, 0.05, "m")


CALIBRATION = Calibration(
    "m",
    (),
    (
        point(0.1, 10, 0.30),
        point(0.01, 10, 0.38),
        point(0.001, 10, 0.45, EXTRAPOLATED),
        point(0.1, 100, 0.36),
        point(0.01, 100, 0.44),
        point(0.001, 100, 0.52, EXTRAPOLATED),
    ),
    (point(0.02, 10, 0.34), point(0.02, 100, 0.41), point(0.005, 100, 0.47)),
)


def a_day(wrong: float, attempts: float = 10.0) -> Promise:
    return Promise(wrong, attempts)


def test_a_promise_is_the_share_of_a_years_attempts() -> None:
    assert a_day(73, 2).fpir == pytest.approx(0.1)
    assert a_day(73, 2).attempts_per_year == 730
    assert a_day(1e9, 2).fpir == 1.0


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), (-1, 1), (float("nan"), 1), (1, float("inf"))])
def test_refuses_a_promise_of_nothing(numbers) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Promise(*numbers)


def test_the_loosest_point_whose_upper_end_keeps_it_is_taken() -> None:
    # 0.05 of 3650 attempts: fpir-0.02 has an upper end of 0.03, fpir-0.1 one of 0.15.
    kept = keep(CALIBRATION, a_day(0.05 * 3650), 80)
    assert (kept.point.name, kept.support, kept.point.support) == ("fpir-0.02-of-100", MEASURED, MEASURED)
    assert kept.fpir == (0.02, 0.01, 0.03)
    assert kept.wrong_opens == pytest.approx((73.0, 36.5, 109.5))
    assert kept.up_to == 100


def test_a_point_that_only_its_middle_keeps_is_not_taken() -> None:
    kept = keep(CALIBRATION, a_day(0.01 * 3650), 80)
    assert kept.point.target == 0.005


@given(st.floats(0.0076, 0.9), st.integers(1, 100), st.integers(1, 100))
def test_more_people_never_lower_the_threshold(fpir: float, some: int, more: int) -> None:
    few, many = sorted((some, more))
    thresholds = [weigh(CALIBRATION, a_day(fpir * 3650), people).point.threshold for people in (few, many)]
    assert thresholds[0] <= thresholds[1]


def test_what_no_sample_supports_is_refused_with_what_could_be() -> None:
    with pytest.raises(UnsupportedTarget, match=r"the least that can be is 28\b") as e:
        keep(CALIBRATION, a_day(10), 80)
    assert e.value.least == pytest.approx(0.0075)
    weighed = weigh(CALIBRATION, a_day(10), 80)
    assert (weighed.kept, weighed.support, weighed.up_to) == (False, None, None)
    assert weighed.least == pytest.approx(0.0075 * 3650)
    assert weighed.point.name == "fpir-0.005-of-100"
    # What is told as the least is indeed kept.
    assert keep(CALIBRATION, a_day(28), 80).kept


def test_a_tail_keeps_it_only_where_that_is_accepted() -> None:
    kept = keep(CALIBRATION, a_day(10), 80, accept_extrapolated=True)
    assert (kept.point.name, kept.support) == ("fpir-0.001-of-100", EXTRAPOLATED)


def test_what_was_measured_goes_before_a_tail_that_misses_less() -> None:
    tempting = replace(CALIBRATION, between=(*CALIBRATION.between, point(0.004, 100, 0.40, EXTRAPOLATED)))
    assert keep(tempting, a_day(0.01 * 3650), 80, accept_extrapolated=True).support == MEASURED


def test_a_promise_that_only_fewer_people_allow_has_been_outgrown() -> None:
    looser = replace(CALIBRATION, between=(*CALIBRATION.between, point(0.003, 10, 0.4)))
    weighed = weigh(looser, a_day(0.005 * 3650), 80)
    assert (weighed.kept, weighed.support, weighed.up_to) == (False, OUTGROWN, 10)
    assert weighed.point.support == OUTGROWN
    with pytest.raises(UnsupportedTarget, match="for 10 people and fewer it can"):
        keep(looser, a_day(0.005 * 3650), 80)


def test_a_gallery_larger_than_any_measured_keeps_nothing_unless_a_bound_will_do() -> None:
    weighed = weigh(CALIBRATION, a_day(0.05 * 3650), 200)
    assert (weighed.kept, weighed.support, weighed.least) == (False, OUTGROWN, None)
    with pytest.raises(UnsupportedTarget, match="no gallery so large") as e:
        keep(CALIBRATION, a_day(0.05 * 3650), 200)
    assert e.value.least is None
    bound = keep(CALIBRATION, a_day(0.05 * 3650), 200, accept_extrapolated=True)
    # At one threshold twice the people are at most twice the false positives.
    assert (bound.support, bound.point.target, bound.fpir[2]) == (EXTRAPOLATED, 0.01, pytest.approx(0.03))
    assert bound.up_to == int(100 * 0.05 / 0.0015)


def test_a_gallery_has_somebody_in_it() -> None:
    with pytest.raises(ValueError, match="at least one"):
        weigh(CALIBRATION, a_day(100), 0)


@pytest.mark.parametrize(
    ("number", "text"), [(27.375, "28"), (0.00123, "0.0013"), (120, "120"), (121, "130"), (9.99, "10"), (0.5, "0.5")]
)
def test_what_is_promised_is_rounded_up(number: float, text: str) -> None:
    assert up_to_two_digits(number) == text
