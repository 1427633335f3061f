from collections.abc import Callable

import pytest

from models.errors import SampleTooSmall
from models.measure import own
from models.measure.operating_points import MEASURED
from models.measure.own import LEAST_PEOPLE, calibrate_own, refuse_too_few
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


@pytest.fixture(autouse=True)
def fewer_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "SIZES", (10, 30))


def test_has_measured_points_of_both_kinds_and_a_likelihood(make_sample: MakeSample) -> None:
    calibration = calibrate_own(make_sample(LEAST_PEOPLE + 20, seed=2), model_id="m", name="ours")
    assert any(p.support == MEASURED for p in calibration.verification)
    assert {p.gallery_size for p in calibration.identification if p.support == MEASURED} == {10, 30}
    assert calibration.likelihood is not None
    assert calibration.sample.name == "ours"


def test_says_how_many_people_are_needed() -> None:
    with pytest.raises(SampleTooSmall, match=f"{LEAST_PEOPLE - 1} people are too few.*{LEAST_PEOPLE} are needed") as e:
        refuse_too_few([2] * (LEAST_PEOPLE - 1))
    assert e.value.needed == LEAST_PEOPLE


def test_needs_thirty_people_with_two_photos() -> None:
    refuse_too_few([2] * 30 + [1] * 60)
    with pytest.raises(SampleTooSmall, match="29 people with two photos"):
        refuse_too_few([2] * 29 + [1] * 60)


def test_two_photos_without_a_face_are_no_two_photos(make_sample: MakeSample) -> None:
    with pytest.raises(SampleTooSmall, match="that show a face"):
        calibrate_own(make_sample(LEAST_PEOPLE, most_photos=3, missing=0.97), model_id="m", name="n")


def test_people_of_whom_few_make_all_false_matches_are_too_few(
    make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.measure.calibrate.LEAST_MATCHED", 10_000)
    with pytest.raises(SampleTooSmall, match="not even an FMR") as e:
        calibrate_own(make_sample(LEAST_PEOPLE), model_id="m", name="n")
    assert e.value.needed == round(1.5 * LEAST_PEOPLE)
