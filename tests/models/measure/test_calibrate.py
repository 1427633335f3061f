from collections.abc import Callable

import numpy as np
import pytest

from models.measure.all_pairs import genuine_pairs, impostor_pairs
from models.measure.calibrate import calibrate, fmr_supported, fpir_supported
from models.measure.operating_points import EXTRAPOLATED, MEASURED, Calibration, as_text
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


@pytest.fixture
def sample(make_sample: MakeSample) -> Sample:
    return make_sample(150, seed=5, most_photos=3, missing=0.02, size=32)


@pytest.fixture
def calibration(sample: Sample) -> Calibration:
    return calibrate(sample, model_id="model-1", name="a sample", seed=9, sizes=(10, 30, 130), splits=20)


def test_says_what_it_was_measured_on(calibration: Calibration, sample: Sample) -> None:
    origin = calibration.sample
    assert (origin.name, origin.people, origin.photos, origin.seed) == ("a sample", 150, 450, 9)
    assert origin.photos_without_face == int((~sample.found).sum()) > 0
    assert origin.templates_per_person == 1
    for point in (*calibration.verification, *calibration.identification):
        assert point.model_id == "model-1"
        assert point.persons == 150
        assert point.impostors > 0
        assert point.genuine > 0


def test_every_point_keeps_its_rate_on_its_own_sample(calibration: Calibration) -> None:
    points = (*calibration.verification, *calibration.identification)
    assert {p.support for p in points} == {MEASURED, EXTRAPOLATED}
    for point in points:
        assert point.measured <= point.target
        assert 0 <= point.interval[0] <= point.interval[1] <= 1


def test_tighter_targets_have_higher_thresholds_and_miss_no_less(calibration: Calibration) -> None:
    sizes = {p.gallery_size for p in calibration.identification}
    assert sizes == {10, 30}  # 130 of 150 would leave 20 strangers
    for points in (
        calibration.verification,
        *(tuple(p for p in calibration.identification if p.gallery_size == size) for size in sizes),
    ):
        assert [p.target for p in points] == sorted((p.target for p in points), reverse=True)
        assert [p.threshold for p in points] == sorted(p.threshold for p in points)
        assert [p.miss for p in points] == sorted(p.miss for p in points)


def test_a_larger_gallery_needs_a_higher_threshold(calibration: Calibration) -> None:
    by_name = {p.name: p.threshold for p in calibration.identification}
    assert by_name["fpir-0.1-of-10"] < by_name["fpir-0.1-of-30"]


def test_rates_are_those_of_all_pairs_at_the_rounded_threshold(calibration: Calibration, sample: Sample) -> None:
    point = calibration.verification[0]
    impostors = impostor_pairs(sample, 1.0)
    assert point.threshold == round(point.threshold, 6)
    assert point.measured == round(impostors.fmr(point.threshold), 8)
    assert point.miss == round(1 - genuine_pairs(sample).tmr(point.threshold), 8)
    assert impostors.fmr(point.threshold - 2e-6) >= point.measured


def test_no_tail_is_followed_further_than_a_decade(calibration: Calibration) -> None:
    for size in (None, 10, 30):
        points = [p for p in (*calibration.verification, *calibration.identification) if p.gallery_size == size]
        tightest = min(p.target for p in points if p.support == MEASURED)
        assert all(p.target >= tightest / 10 * 0.999 for p in points)


def test_identification_is_measured_only_where_the_rule_of_three_allows(calibration: Calibration) -> None:
    for point in calibration.identification:
        assert point.gallery_size is not None
        strangers = point.persons - point.gallery_size
        assert (point.support == MEASURED) == (point.target >= 3 / strangers)


def test_the_same_seed_gives_the_same_bytes(calibration: Calibration, sample: Sample) -> None:
    again = calibrate(sample, model_id="model-1", name="a sample", seed=9, sizes=(10, 30, 130), splits=20)
    other = calibrate(sample, model_id="model-1", name="a sample", seed=10, sizes=(10, 30, 130), splits=20)
    assert as_text([again]) == as_text([calibration])
    assert as_text([other]) != as_text([calibration])


def test_a_false_match_rate_needs_thirty_people_thirty_pairs_and_a_sure_upper_end() -> None:
    assert fmr_supported(1e-3, (5e-4, 2e-3), 30, 30)
    assert not fmr_supported(1e-3, (5e-4, 2e-3), 29, 300)
    assert not fmr_supported(1e-3, (5e-4, 2e-3), 300, 29.5)
    assert not fmr_supported(1e-3, (5e-4, 2.1e-3), 300, 300)


def test_three_hundred_strangers_show_one_percent_and_fewer_do_not() -> None:
    assert fpir_supported(0.01, 300)
    assert not fpir_supported(0.01, 299)


def test_refuses_a_sample_in_which_nobody_comes_twice() -> None:
    vectors = list(np.eye(40, dtype=np.float32))
    sample = Sample.of(vectors, [str(i) for i in range(40)])
    with pytest.raises(ValueError, match="two photos"):
        calibrate(sample, model_id="m", name="n", seed=0)


def test_points_between_lie_between_and_leave_the_others_as_they_are(calibration: Calibration) -> None:
    assert calibration.between
    for point in calibration.between:
        assert point.target not in {p.target for p in calibration.identification}
        same = [p for p in calibration.identification if p.gallery_size == point.gallery_size]
        for looser in (p for p in same if p.target > point.target and p.support == point.support == MEASURED):
            assert looser.threshold <= point.threshold
    assert {p.target for p in calibration.identification} <= {0.1, 0.01, 0.001}


def test_who_comes_twice_often_enough_gives_a_likelihood(calibration: Calibration, make_sample: MakeSample) -> None:
    assert calibration.likelihood is not None
    assert calibration.likelihood.people <= 150
    few = calibrate(make_sample(60, most_photos=2, missing=0.8), model_id="m", name="n", seed=1, sizes=(10,), splits=3)
    assert few.likelihood is None
