from pathlib import Path

import pytest

from app.cli.cropping import BEHIND_THE_CROP, Shelf
from models import face


def test_crops_are_found_again_after_a_change_of_how_faces_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    for name in ("detect", "encode"):
        (code / f"{name}.py").write_text("before")
    monkeypatch.setattr(face, "__path__", [str(code)])
    shelf = Shelf(tmp_path / "photos", tmp_path / "build", "whole")
    before = shelf.crops()
    (code / "encode.py").write_text("after")
    assert shelf.crops() == before
    (code / "detect.py").write_text("after")
    assert shelf.crops() != before


def test_data_sets_of_one_name_and_ways_to_look_at_one_are_kept_apart(tmp_path: Path) -> None:
    build = tmp_path / "build"
    shelves = [Shelf(tmp_path / top, build, kind) for top in ("a/lfw", "b/lfw") for kind in ("whole", "doors-1")]
    assert len({shelf.crops() for shelf in shelves}) == 4
    assert all(shelf.crops().name.startswith("lfw-") for shelf in shelves)


def test_every_module_that_is_left_out_is_there() -> None:
    folder = Path(face.__path__[0])
    assert {f"{name}.py" for name in BEHIND_THE_CROP} <= {file.name for file in folder.glob("*.py")}
