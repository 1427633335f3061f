"""The shipped thresholds: there for what is served, and only for that."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.operating_point import EXTRAPOLATED, MEASURED
from app.errors import Misconfigured, UnsupportedTarget
from app.inference.calibration import OWN_FILE, keep, load, served
from models import weights
from models.measure.operating_points import Calibration, read_calibrations

MODEL_ID = weights.model_id("onelook", flip=True)


@pytest.mark.parametrize("flip", [False, True])
def test_thresholds_are_shipped_for_both_settings_of_flip_averaging(flip: bool) -> None:
    calibration = load("onelook", weights.model_id("onelook", flip=flip))
    assert {p.target for p in calibration.verification if p.support == MEASURED} >= {1e-2, 1e-3}
    for point in (*calibration.verification, *calibration.identification):
        assert point.model_id == weights.model_id("onelook", flip=flip)
        assert -1 < point.threshold < 1
        assert point.interval[0] <= point.measured <= point.interval[1]
        assert min(point.persons, point.impostors, point.genuine) > 0


def test_a_tighter_target_and_a_larger_gallery_never_lower_the_threshold() -> None:
    calibration = load("onelook", weights.model_id("onelook", flip=True))
    ones = sorted(calibration.verification, key=lambda p: p.target)
    assert [p.threshold for p in ones] == sorted((p.threshold for p in ones), reverse=True)
    for target in (0.1, 0.01):
        of_target = [p for p in calibration.identification if p.target == target]
        by_size = sorted(of_target, key=lambda p: p.gallery_size or 0)
        assert len(by_size) >= 4
        assert [p.threshold for p in by_size] == sorted(p.threshold for p in by_size)


def test_no_threshold_of_another_model_is_taken() -> None:
    with pytest.raises(Misconfigured, match="onelook-000000000000"):
        load("onelook", "onelook-000000000000")


def test_a_damaged_file_is_misconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onelook.calibration.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(Misconfigured):
        load("onelook", MODEL_ID)


def test_an_extrapolated_target_is_refused_unless_it_is_accepted() -> None:
    calibration = load("onelook", weights.model_id("onelook", flip=True))
    beyond = min(p.target for p in calibration.verification if p.support == EXTRAPOLATED)
    with pytest.raises(UnsupportedTarget):
        calibration.for_verification(beyond)
    assert calibration.for_verification(beyond, accept_extrapolated=True).support == EXTRAPOLATED
    with pytest.raises(UnsupportedTarget):
        calibration.for_verification(1e-9, accept_extrapolated=True)


def test_the_file_says_what_it_was_measured_on() -> None:
    held = json.loads((weights.FOLDER / "onelook.calibration.json").read_text(encoding="utf-8"))
    for of_model in held.values():
        assert "peopleDevTest" in of_model["sample"]["name"]
        assert of_model["sample"]["people"] > 1000


def without(of_model: dict, kind: str, *, size: int | None) -> None:
    for point in of_model[kind]:
        if point["gallery_size"] == size:
            point["support"] = EXTRAPOLATED


DAMAGE = {
    "no points of 1:1": lambda held: held.update(verification=[]),
    "no points of 1:K": lambda held: held.update(identification=[]),
    "nothing measured for 1:1": lambda held: without(held, "verification", size=None),
    "nothing measured for a size": lambda held: without(held, "identification", size=100),
    "a missing kind": lambda held: held.pop("identification"),
    "a missing field": lambda held: held["verification"][0].pop("miss"),
    "a field too many": lambda held: held["verification"][0].update(surprise=1),
    "no interval": lambda held: held["verification"][0].update(interval=None),
    "half an interval": lambda held: held["verification"][0].update(interval=[0.1]),
    "a likelihood without knots": lambda held: held["likelihood"].update(knots=[]),
    "a likelihood that falls": lambda held: held["likelihood"].update(knots=[[0.0, 1.0], [0.5, 0.0]]),
    "half a likelihood": lambda held: held["likelihood"].pop("trials"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_calibration_that_could_not_answer_is_misconfigured(damage, tmp_path: Path, monkeypatch) -> None:
    model_id = weights.model_id("onelook", flip=True)
    held = json.loads((weights.FOLDER / "onelook.calibration.json").read_text(encoding="utf-8"))
    damage(held[model_id])
    (tmp_path / "onelook.calibration.json").write_text(json.dumps(held), encoding="utf-8")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(Misconfigured, match="measure them with"):
        load("onelook", model_id)


@pytest.fixture
def own() -> Calibration:
    """A calibration of the home's own photos: the shipped one under another name, one threshold moved."""
    shipped = read_calibrations(weights.FOLDER / "onelook.calibration.json")[MODEL_ID]
    moved = replace(shipped.verification[0], threshold=0.3333)
    return replace(
        shipped, sample=replace(shipped.sample, name="our door"), verification=(moved, *shipped.verification[1:])
    )


def test_the_homes_own_calibration_goes_before_the_shipped_one(tmp_path: Path, own: Calibration) -> None:
    assert not load("onelook", MODEL_ID, tmp_path).own
    file = keep(tmp_path, own)
    taken = load("onelook", MODEL_ID, tmp_path)
    assert (taken.own, taken.sample, taken.verification[0].threshold) == (True, "our door", 0.3333)
    assert taken == served(own)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [OWN_FILE]


def test_one_of_another_model_is_not_taken_and_not_lost(tmp_path: Path, own: Calibration) -> None:
    other = weights.model_id("onelook", flip=False)
    keep(tmp_path, own)
    assert not load("onelook", other, tmp_path).own
    keep(tmp_path, replace(own, model_id=other))
    assert set(read_calibrations(tmp_path / OWN_FILE)) == {MODEL_ID, other}
    assert load("onelook", MODEL_ID, tmp_path).own


@pytest.mark.parametrize("text", ["{", "[]", f'{{"{MODEL_ID}": {{}}}}', f'{{"{MODEL_ID}": 3}}'])
def test_a_damaged_file_of_the_home_is_not_passed_over_in_silence(tmp_path: Path, text: str, own: Calibration) -> None:
    (tmp_path / OWN_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured, match="run `onelook calibrate` again, or delete the file"):
        load("onelook", MODEL_ID, tmp_path)
    keep(tmp_path, own)
    assert load("onelook", MODEL_ID, tmp_path).own


def test_a_file_of_an_earlier_version_has_no_probability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = json.loads((weights.FOLDER / "onelook.calibration.json").read_text(encoding="utf-8"))
    for of_model in held.values():
        of_model.pop("likelihood", None)
        of_model.pop("between", None)
    (tmp_path / "onelook.calibration.json").write_text(json.dumps(held), encoding="utf-8")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    calibration = load("onelook", MODEL_ID)
    assert (calibration.likelihood, calibration.between) == (None, ())
    assert calibration.chance_of_match(0.5) is None
    assert calibration.chance_of_person(0.5, 10) is None


@pytest.mark.parametrize("flip", [False, True])
def test_the_shipped_probability_is_isotonic_and_means_what_people_mean(flip: bool) -> None:
    calibration = load("onelook", weights.model_id("onelook", flip=flip))
    assert calibration.likelihood is not None
    assert calibration.likelihood.trials[0].method == calibration.likelihood.method
    assert calibration.chance_of_match(0.1) < 0.05
    assert calibration.chance_of_match(0.6) > 0.99
    assert calibration.chance_of_person(0.6, 100) > calibration.chance_of_person(0.6, 10_000)
