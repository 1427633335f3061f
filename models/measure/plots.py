"""Figures as pictures (PNG), several models in each. matplotlib comes with the extra `bench`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import ExtraMissing
from models.measure.sample import Floats
from models.measure.side_by_side import Column
from models.measure.verified import Curve

SIZE_INCHES = (7.0, 4.4)
LEAST_DRAWN = 1e-4
COLOURS, MARKERS, MOST_NAMED = 10, "osD^v", 20
DOTS_PER_INCH = 110


def needs_matplotlib() -> None:
    """Raises ExtraMissing, with the way out, where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as e:
        raise ExtraMissing("plots need matplotlib: pip install 'onelook[bench]', or leave the plots out") from e
    mpl.use("Agg")


def draw_roc(curves: Mapping[str, Curve], file: Path) -> None:
    """TMR against FMR, the FMR on a logarithmic axis. curves: title of the model -> its curve."""

    def drawn(axes: Any) -> None:
        for title, curve in curves.items():
            (line,) = axes.plot(curve.x, 100 * curve.y, label=title)
            axes.fill_between(curve.x, 100 * curve.low, 100 * curve.high, color=line.get_color(), alpha=0.15)
        axes.set(xscale="log", xlabel="FMR", ylabel="TMR, %, people weighing the same")

    _save(drawn, file)


def draw_det(curves: Mapping[str, Curve], file: Path) -> None:
    """FNMR against FMR, both on logarithmic axes. curves: title of the model -> TMR against FMR.

    Where nothing is missed there is no point: a logarithmic axis has no zero.
    """
    missed = [1 - curve.y for curve in curves.values()]
    least = min((float(y[y > 0].min()) for y in missed if (y > 0).any()), default=LEAST_DRAWN) / 2

    def drawn(axes: Any) -> None:
        axes.set(xscale="log", yscale="log", ylim=(least, 1.0), xlabel="FMR", ylabel="FNMR, people weighing the same")
        for title, curve in curves.items():
            seen = curve.y < 1
            (line,) = axes.plot(curve.x[seen], 1 - curve.y[seen], label=title)
            low, high = np.maximum(1 - curve.high, least), np.maximum(1 - curve.low, least)
            axes.fill_between(curve.x, low, high, color=line.get_color(), alpha=0.15)
        axes.set_xlim(_reach(curves))

    _save(drawn, file)


def draw_galleries(curves: Mapping[str, Mapping[float, Curve]], file: Path) -> None:
    """FNIR against the size of the gallery. curves: title of the model -> FPIR -> its curve."""

    def drawn(axes: Any) -> None:
        for number, (title, by_rate) in enumerate(curves.items()):
            for style, (fpir, curve) in zip(("-", "--", ":"), by_rate.items(), strict=False):
                ends = (100 * (curve.y - curve.low), 100 * (curve.high - curve.y))
                label = f"{title}, FPIR {fpir:g}"
                look = {"linestyle": style, "marker": "o", "markersize": 4, "capsize": 3, "color": f"C{number}"}
                axes.errorbar(curve.x, 100 * curve.y, yerr=ends, label=label, **look)
        axes.set(xscale="log", xlabel="people in the gallery", ylabel="FNIR, %")

    _save(drawn, file)


def draw_bars(columns: Sequence[Column], section: str, file: Path, *, missed: bool = True) -> None:
    """The measures of one section side by side, with their intervals; missed: 1 less the rate is shown."""

    def drawn(axes: Any) -> None:
        names = list(dict.fromkeys(one.figure.measure for c in columns for one in c.measured if one.key[0] == section))
        wide = 0.8 / max(1, len(columns))
        for number, column in enumerate(columns):
            for place, name in enumerate(names):
                held = [one.figure for one in column.measured if one.key == (section, name)]
                for figure in held:
                    value, (low, high) = figure.value, figure.interval or (figure.value, figure.value)
                    if missed:
                        value, low, high = 1 - value, 1 - high, 1 - low
                    at = place + (number - (len(columns) - 1) / 2) * wide
                    ends = [[100 * max(0.0, value - low)], [100 * max(0.0, high - value)]]
                    label = column.title if place == 0 else None
                    axes.bar(at, 100 * value, wide, yerr=ends, capsize=2, color=f"C{number}", label=label)
        axes.set_xticks(range(len(names)), [name.partition(", ")[2] or name for name in names], rotation=35, ha="right")
        axes.set(ylabel="missed, %" if missed else "%")

    _save(drawn, file)


def draw_map(
    gallery: Mapping[str, Floats], strangers: Floats, shown: Sequence[float], file: Path, *, names: bool
) -> None:
    """A gallery from one side. gallery: person -> points (n, 2); strangers: points (m, 2); shown: share of the variance
    along each axis; names: whether people are named, as they are only when there are few.
    """

    def drawn(axes: Any) -> None:
        for number, (person, points) in enumerate(gallery.items()):
            label = person if names and len(gallery) <= MOST_NAMED else None
            marker = MARKERS[number // COLOURS % len(MARKERS)]
            axes.scatter(*points.T, s=22, marker=marker, color=f"C{number % COLOURS}", label=label)
        if len(strangers):
            axes.scatter(*strangers.T, s=26, marker="x", color="0.45", linewidths=1, label="strangers", zorder=0)
        first, second = (f"{share:.1%} of the gallery's variance" for share in shown)
        axes.set(xlabel=first, ylabel=second, aspect="equal")

    _save(drawn, file)


def _reach(curves: Mapping[str, Curve]) -> tuple[float, float]:
    """From the least to the greatest FMR of all curves."""
    every = np.concatenate([curve.x for curve in curves.values()]) if curves else np.array([LEAST_DRAWN, 1.0])
    return float(every.min()), float(every.max())


def _save(drawn: Callable[[Any], None], file: Path) -> None:
    needs_matplotlib()
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    try:
        drawn(axes)
        axes.grid(visible=True, which="major", alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, bbox_inches="tight", metadata={"Software": ""})
    finally:
        plt.close(figure)
