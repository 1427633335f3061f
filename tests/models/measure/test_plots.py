import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import ExtraMissing
from models.measure import plots
from models.measure.lfw_figures import Figure
from models.measure.side_by_side import Column, Measured
from models.measure.verified import Curve


@pytest.fixture
def curve() -> Curve:
    x = np.geomspace(1e-4, 1e-2, 20)
    y = np.linspace(0.9, 0.99, 20)
    return Curve(x, y, y - 0.01, np.minimum(y + 0.005, 1))


def colours(file: Path) -> int:
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))


@pytest.fixture
def blank(tmp_path: Path) -> int:
    """How many colours a plot without a curve has."""
    pytest.importorskip("matplotlib", reason="NO MATPLOTLIB: pip install '.[bench]'")
    plots.draw_roc({}, tmp_path / "blank.png")
    return colours(tmp_path / "blank.png")


def test_a_plot_shows_several_models_in_one_figure(tmp_path: Path, blank: int, curve: Curve) -> None:
    for draw in (plots.draw_roc, plots.draw_det):
        draw({"sface": curve}, tmp_path / "one.png")
        draw({"sface": curve, "ours": curve}, tmp_path / "deep" / "two.png")
        assert colours(tmp_path / "one.png") > blank
        assert colours(tmp_path / "deep" / "two.png") > colours(tmp_path / "one.png")


def test_a_model_that_misses_nothing_is_drawn_without_its_zeros(tmp_path: Path, blank: int, curve: Curve) -> None:
    perfect = Curve(curve.x, np.ones(20), np.full(20, 0.98), np.ones(20))
    plots.draw_det({"perfect": perfect}, tmp_path / "one.png")
    plots.draw_det({"perfect": perfect, "sface": curve}, tmp_path / "two.png")
    assert colours(tmp_path / "two.png") > colours(tmp_path / "one.png") > blank


def test_galleries_and_bars_are_drawn(tmp_path: Path, blank: int, curve: Curve) -> None:
    plots.draw_galleries({"sface": {0.1: curve, 0.01: curve}}, tmp_path / "galleries.png")
    measured = tuple(Measured(Figure("doors", f"TMR, {name}", 0.9, interval=(0.8, 0.95))) for name in ("dark", "far"))
    plots.draw_bars([Column("sface", "sface-1", "float32", measured)], "doors", tmp_path / "bars.png")
    assert colours(tmp_path / "galleries.png") > blank
    assert colours(tmp_path / "bars.png") > blank


def test_without_matplotlib_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'onelook\[bench\]'"):
        plots.needs_matplotlib()
