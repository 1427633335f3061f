from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import ExtraMissing
from models.measure.likelihood import choose
from models.measure.reliability_plot import draw_reliability
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


def test_draws_both_fits_and_leaves_no_figure_open(make_sample: MakeSample, tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    chosen = choose(make_sample(100, seed=1), seed=1)
    assert chosen is not None
    draw_reliability(chosen, tmp_path / "new" / "r.png")
    assert (tmp_path / "new" / "r.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []


def test_without_matplotlib_it_says_what_to_install(
    make_sample: MakeSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choose(make_sample(100, seed=1), seed=1)
    assert chosen is not None
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ExtraMissing, match="pip install"):
        draw_reliability(chosen, tmp_path / "r.png")
