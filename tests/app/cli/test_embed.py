import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

Onelook = Callable[..., Result]


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONELOOK_PRECISION", "float32")


def test_a_gallery_becomes_a_map_with_its_strangers(onelook: Onelook, sample_people: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="NO MATPLOTLIB: pip install '.[bench]'")
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    (sample_people / "Grace_Hopper").rename(strangers / "Grace_Hopper")
    Image.new("RGB", (200, 200), "grey").save(sample_people / "Barack_Obama" / "wall.png")
    (sample_people / "Barack_Obama" / "broken.jpg").write_bytes(b"no picture")
    plot = tmp_path / "map.png"
    result = onelook("embed", sample_people, "--strangers", strangers, "--plot", plot)
    assert result.exit_code == 0, result.output
    assert "5 of 7 photos show a face; 2 people, 1 strangers" in result.output
    # Four photos of two people: a plane holds nearly all of their differences.
    assert float(result.output.split("shows ")[1].split("%")[0]) > 90
    with Image.open(plot) as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_a_gallery_of_two_photos_is_no_map(onelook: Onelook, sample_people: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="NO MATPLOTLIB: pip install '.[bench]'")
    for name in ("Barack_Obama", "Eileen_Collins"):
        (sample_people / name / f"{name}_0001.jpg").unlink()
    (sample_people / "Grace_Hopper" / "Grace_Hopper_0001.jpg").unlink()
    result = onelook("embed", sample_people, "--plot", tmp_path / "map.png")
    assert result.exit_code == 2
    assert "three are needed" in result.output


def test_without_matplotlib_it_says_what_to_install(
    onelook: Onelook, sample_people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = onelook("embed", sample_people)
    assert result.exit_code == 1
    assert "pip install 'onelook[bench]'" in result.output
