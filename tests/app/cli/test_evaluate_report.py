import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Onelook = Callable[..., Result]


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="NO MATPLOTLIB: pip install '.[bench]'")
    monkeypatch.setenv("ONELOOK_PRECISION", "float32")
    monkeypatch.chdir(tmp_path)


def test_one_command_writes_one_page_with_its_plots(onelook: Onelook, sample_people: Path) -> None:
    words = ("evaluate", "report", "out", "--lfw", sample_people, "--folder", sample_people, "--model", "sface")
    result = onelook(*words)
    assert result.exit_code == 0, result.output
    page = Path("out/report.md").read_text()
    headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert headings == ["Labeled Faces in the Wild", "The conditions of a door", "people: 3 people", "Speed"]
    plots = re.findall(r"!\[.*\]\((.*)\)", page)
    assert {path.name for path in Path("out").glob("*.png")} == set(plots)
    assert {"lfw-roc.png", "lfw-det.png", "lfw-quality.png", "doors-fmr-0.001.png", "people-roc.png"} <= set(plots)
    assert set(json.loads(Path("out/report.json").read_text())) == set(headings)
    assert "| accuracy | sface | 100.00% |" in page
    assert "faces/s" in page
    assert str(sample_people) not in page
