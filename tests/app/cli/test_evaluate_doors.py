import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from models import weights
from models.measure.conditions import CONDITIONS
from models.measure.doors import CLEAN, NOT_FOUND, SERVED, section_of
from models.measure.operating_points import read_calibrations

Onelook = Callable[..., Result]


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONELOOK_PRECISION", "float32")
    monkeypatch.chdir(tmp_path)


def test_people_are_probed_under_every_condition(onelook: Onelook, sample_people: Path) -> None:
    words = ("evaluate", "doors", "--data", sample_people, "--model", "sface")
    result = onelook(*words, "--json", "doors.json")
    assert result.exit_code == 0, result.output
    (column,) = json.loads(Path("doors.json").read_text())["doors"]
    held = {(f["section"], f["measure"]): f for f in column["figures"]}
    for section in (section_of(1e-3), section_of(1e-4), SERVED, NOT_FOUND):
        assert [name for part, name in held if part == section] == [CLEAN, *CONDITIONS]
    assert held[section_of(1e-3), CLEAN]["count"] == 2
    assert held[NOT_FOUND, CLEAN]["count"] == 0
    points = read_calibrations(weights.FOLDER / "sface.calibration.json")[column["model_id"]].verification
    served = min((p for p in points if p.support == "measured"), key=lambda p: p.target)
    assert f"at {served.threshold:.4f}; " in held[SERVED, CLEAN]["note"]
    again = onelook(*words)
    assert "4 photos, 4 of them read before" in again.output


def test_a_contact_sheet_shows_the_conditions_on_a_photo(onelook: Onelook, samples: Path) -> None:
    result = onelook("evaluate", "doors", "--draw", "sheet.png", "--sample", samples / "collins.jpg")
    assert result.exit_code == 0, result.output
    with Image.open("sheet.png") as sheet:
        assert np.asarray(sheet).std() > 20
    bad = onelook("evaluate", "doors", "--draw", "sheet.docx", "--sample", samples / "collins.jpg")
    assert bad.exit_code == 2
    assert "no known format" in bad.output


def test_a_folder_that_is_not_lfw_is_refused_by_name(onelook: Onelook, tmp_path: Path) -> None:
    result = onelook("evaluate", "doors", "--data", tmp_path)
    assert result.exit_code == 2
    assert "people.txt" in result.output
