import dataclasses

import pytest

from app.domain.operating_point import Calibration, OperatingPoint
from app.errors import UnsupportedTarget


def point(kind, target, threshold, size=None, support="measured"):
    return OperatingPoint("p", kind, target, threshold, support, target, (0.0, 1.0), 9, 9, 9, size, 0.1, "m")


CALIBRATION = Calibration(
    "m",
    (point("fmr", 1e-2, 0.4), point("fmr", 1e-3, 0.5), point("fmr", 1e-6, 0.9, None, "extrapolated")),
    (point("fpir", 0.1, 0.45, 10), point("fpir", 0.01, 0.6, 10), point("fpir", 0.01, 0.7, 100)),
)


def test_without_a_target_the_tightest_measured_point_counts():
    assert CALIBRATION.for_verification().threshold == 0.5
    assert CALIBRATION.for_verification(accept_extrapolated=True).threshold == 0.5


@pytest.mark.parametrize(("target", "threshold"), [(1e-2, 0.4), (0.5, 0.4), (5e-3, 0.5), (1e-3, 0.5)])
def test_the_loosest_point_that_keeps_the_promise_counts(target, threshold):
    assert CALIBRATION.for_verification(target).threshold == threshold


def test_a_target_beyond_the_sample_needs_consent():
    with pytest.raises(UnsupportedTarget) as refusal:
        CALIBRATION.for_verification(1e-4)
    assert (refusal.value.kind, refusal.value.least) == ("fmr", 1e-3)
    assert CALIBRATION.for_verification(1e-4, accept_extrapolated=True).support == "extrapolated"


def test_what_nothing_reaches_is_refused_even_with_consent():
    with pytest.raises(UnsupportedTarget) as refusal:
        CALIBRATION.for_verification(1e-9, accept_extrapolated=True)
    assert refusal.value.least == 1e-6


@pytest.mark.parametrize(
    ("persons", "threshold", "support"),
    [
        (0, 0.6, "measured"),
        (10, 0.6, "measured"),
        (11, 0.7, "measured"),
        (100, 0.7, "measured"),
        (101, 0.7, "outgrown"),
    ],
)
def test_the_point_belongs_to_the_size_of_the_gallery(persons, threshold, support):
    chosen = CALIBRATION.for_identification(persons)
    assert (chosen.threshold, chosen.support) == (threshold, support)


def test_a_nan_is_no_target():
    with pytest.raises(UnsupportedTarget):
        CALIBRATION.for_verification(float("nan"))


def test_points_are_not_changed_by_choosing():
    before = dataclasses.replace(CALIBRATION)
    CALIBRATION.for_identification(1000)
    assert before == CALIBRATION


def test_an_outgrown_gallery_keeps_no_target_that_is_asked_for():
    with pytest.raises(UnsupportedTarget, match="101") as refusal:
        CALIBRATION.for_identification(101, 0.5)
    assert (refusal.value.kind, refusal.value.least) == ("fpir", None)
    assert CALIBRATION.for_identification(100, 0.5).support == "measured"


def test_an_outgrown_gallery_keeps_a_target_by_its_bound_where_that_is_accepted():
    chosen = CALIBRATION.for_identification(200, 0.02, accept_extrapolated=True)
    assert (chosen.threshold, chosen.support) == (0.7, "extrapolated")
    with pytest.raises(UnsupportedTarget) as refusal:
        CALIBRATION.for_identification(200, 0.019, accept_extrapolated=True)
    assert refusal.value.least == pytest.approx(0.02)
