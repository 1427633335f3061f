import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import ExtraMissing
from models.measure.learning_plot import COLOURS, STYLES, LearningCurve, draw_learning

TAUGHT = LearningCurve(
    "triplet, hard", "triplet", "hard", (0, 20, 40), {"clean": (0.83, 0.84, 0.86), "dark": (0.6,) * 3}
)
FRESH = LearningCurve("fresh", "fresh", "hard", (0, 60, 120), {"clean": (0.0, 0.01, 0.02), "dark": (0.0,) * 3})


@pytest.fixture
def pyplot(monkeypatch: pytest.MonkeyPatch):
    """matplotlib, whose figures stay to be looked at; closed in the end."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="NO MATPLOTLIB: pip install '.[bench]'")
    close = pyplot.close
    monkeypatch.setattr(pyplot, "close", lambda _: None)
    yield pyplot
    close("all")


def drawn(pyplot, curves, tmp_path: Path):
    draw_learning(curves, tmp_path / "deep" / "curves.png")
    axes = pyplot.gcf().axes
    return np.array(axes).reshape(2, len(axes) // 2)


def test_each_measure_is_a_column_in_which_every_run_has_its_line(pyplot, tmp_path: Path) -> None:
    panels = drawn(pyplot, (TAUGHT, FRESH), tmp_path)
    assert [axes.get_title() for axes in panels[0]] == ["clean", "dark"]
    below = {line.get_label(): line.get_xydata() for line in panels[1, 0].lines}
    assert below["triplet, hard"].tolist() == [[0, 83], [20, 84], [40, 86]]
    assert below["fresh"].tolist() == [[0, 0], [60, 1], [120, 2]]
    assert panels[1, 0].get_ylim() == (0, 100)
    with Image.open(tmp_path / "deep" / "curves.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300


def test_the_upper_panels_are_close_on_what_begins_well(pyplot, tmp_path: Path) -> None:
    falling = replace(TAUGHT, name="falling", kind="falling", shares={"clean": (0.83, 0.3, 0.1), "dark": (0.6,) * 3})
    clean, dark = drawn(pyplot, (TAUGHT, FRESH, falling), tmp_path)[0]
    low, high = clean.get_ylim()
    assert 60 < low < 68 < 86 < high < 90
    assert 40 < clean.get_xlim()[1] < 50
    assert dark.get_ylim()[0] < 60 < dark.get_ylim()[1]


def test_a_kind_has_its_colour_and_a_way_its_line(pyplot, tmp_path: Path) -> None:
    other = replace(TAUGHT, name="triplet, random", way="random")
    first, second, third = drawn(pyplot, (TAUGHT, other, FRESH), tmp_path)[1, 0].lines
    assert first.get_color() == second.get_color() != third.get_color()
    assert first.get_linestyle() == third.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in pyplot.gcf().legends[0].get_texts()] == [
        "triplet, hard",
        "triplet, random",
        "fresh",
    ]


@pytest.mark.parametrize(
    "curves",
    [
        (),
        [replace(TAUGHT, kind=str(i)) for i in range(len(COLOURS) + 1)],
        [replace(TAUGHT, way=str(i)) for i in range(len(STYLES) + 1)],
    ],
)
def test_lines_that_could_not_be_told_apart_are_refused(curves, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="told apart"):
        draw_learning(curves, tmp_path / "curves.png")


def test_no_figure_stays_open(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    draw_learning((TAUGHT,), tmp_path / "curves.png")
    assert pyplot.get_fignums() == []


def test_without_matplotlib_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraMissing, match="pip install"):
        draw_learning((TAUGHT,), tmp_path / "curves.png")
