"""How models learnt, as a picture: a measure against the step, a line for each run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.measure.plots import DOTS_PER_INCH, needs_matplotlib

# Told apart by colour-blind people too: Okabe and Ito, "Color Universal Design", 2008, less the yellow.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
STYLES = ((":", "o"), ("-", "s"), ("--", "^"), ("-.", "D"))
PANEL_INCHES, LEGEND_INCHES, LEGEND_COLUMNS = (5.2, 3.3), 0.24, 3
# Share below the best start that the upper panels show: what falls deeper is seen in the lower ones.
NEAR = 0.15


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One run. Runs of a kind share their colour, those of a way their line; shares: measure -> share at each step."""

    name: str
    kind: str
    way: str
    steps: Sequence[int]
    shares: Mapping[str, Sequence[float]]


def draw_learning(curves: Sequence[LearningCurve], file: Path) -> None:
    """A column of panels for each measure: above, what stays near the best start; below, all of it from 0 to 100 %.

    Raises ValueError without a curve or for more kinds or ways than can be told apart, ExtraMissing for matplotlib.
    """
    kinds, ways = (list(dict.fromkeys(getattr(curve, key) for curve in curves)) for key in ("kind", "way"))
    if not curves or len(kinds) > len(COLOURS) or len(ways) > len(STYLES):
        raise ValueError(f"1 to {len(COLOURS)} kinds and {len(STYLES)} ways can be told apart, not {kinds} and {ways}")
    needs_matplotlib()
    from matplotlib import pyplot as plt

    measures = list(dict.fromkeys(measure for curve in curves for measure in curve.shares))
    lines_of_legend = -(-len(curves) // LEGEND_COLUMNS)
    size = (PANEL_INCHES[0] * len(measures), 2 * PANEL_INCHES[1] + LEGEND_INCHES * lines_of_legend)
    figure, panels = plt.subplots(
        2, len(measures), figsize=size, dpi=DOTS_PER_INCH, squeeze=False, layout="constrained"
    )
    try:
        for (above, below), measure in zip(panels.T, measures, strict=True):
            for curve in curves:
                style, marker = STYLES[ways.index(curve.way)]
                look = {"linestyle": style, "marker": marker, "color": COLOURS[kinds.index(curve.kind)]}
                for axes in (above, below):
                    percent = [100 * share for share in curve.shares[measure]]
                    axes.plot(curve.steps, percent, label=curve.name, markersize=3.5, linewidth=1.4, **look)
            above.set(title=measure, ylabel="%")
            _near(above, curves, measure)
            below.set(xlabel="step", ylabel="%", ylim=(0, 100))
            for axes in (above, below):
                axes.grid(visible=True, alpha=0.3)
        named = panels[0, 0].get_legend_handles_labels()
        figure.legend(*named, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, handlelength=3.5)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, bbox_inches="tight", metadata={"Software": ""})
    finally:
        plt.close(figure)


def _near(axes: Any, curves: Sequence[LearningCurve], measure: str) -> None:
    """Limits that hold what lies less than NEAR below the best start, and the steps of those that begin there."""
    best = max(curve.shares[measure][0] for curve in curves)
    begin_there = [curve for curve in curves if curve.shares[measure][0] > best - NEAR]
    seen = [share for curve in begin_there for share in curve.shares[measure]]
    low, high = max(min(seen), best - NEAR), max(seen)
    room = 0.05 * (high - low) or 0.01
    longest = max(curve.steps[-1] for curve in begin_there)
    axes.set(ylim=(100 * (low - room), 100 * (high + room)), xlim=(-0.03 * longest, 1.03 * longest))
