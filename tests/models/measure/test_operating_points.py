import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from models.measure.likelihood import Likelihood, Trial
from models.measure.operating_points import (
    Calibration,
    Origin,
    Point,
    as_text,
    read_calibrations,
    write_calibrations,
)

POINT = Point("fmr-0.01", "fmr", 0.01, 0.31, "measured", 0.0099, (0.009, 0.011), 50, 1000, 70, None, 0.02, "m-1")
ONE = Calibration("m-1", Origin("a sample", 50, 120, 1, 1, 7), (POINT,), (replace(POINT, gallery_size=10),))
TWO = replace(ONE, model_id="m-2")


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.calibration.json"
    write_calibrations(file, [TWO, ONE])
    assert read_calibrations(file) == {"m-1": ONE, "m-2": TWO}


def test_a_likelihood_and_points_between_are_written_and_read(tmp_path: Path) -> None:
    likelihood = Likelihood("platt", 0.5, ((-1.0, -9.5), (1.0, 8.25)), 50, 40, 70, 1000, (Trial("platt", 0.01, 0.02),))
    full = replace(ONE, between=(replace(POINT, target=0.02),), likelihood=likelihood)
    file = tmp_path / "x.calibration.json"
    write_calibrations(file, [full, TWO])
    assert read_calibrations(file) == {"m-1": full, "m-2": TWO}


def test_a_file_of_an_earlier_version_has_neither(tmp_path: Path) -> None:
    held = json.loads(as_text([ONE]))
    del held["m-1"]["between"], held["m-1"]["likelihood"]
    file = tmp_path / "x.calibration.json"
    file.write_text(json.dumps(held))
    assert read_calibrations(file) == {"m-1": ONE}


def test_the_order_of_models_does_not_change_the_bytes() -> None:
    assert as_text([TWO, ONE]) == as_text([ONE, TWO])


def test_a_point_in_the_file_has_the_fields_of_a_point() -> None:
    held = json.loads(as_text([ONE]))["m-1"]
    assert set(held) == {"model_id", "sample", "verification", "identification", "between", "likelihood"}
    assert set(held["verification"][0]) == {f.name for f in fields(Point)}


@pytest.mark.parametrize("text", ["", "[]", '{"m-1": {}}', '{"m-1": {"model_id": "m-1", "sample": {"name": 1}}}'])
def test_refuses_a_file_that_holds_something_else(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.calibration.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="holds no operating points"):
        read_calibrations(file)
