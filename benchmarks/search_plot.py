"""The curve of `benchmarks.search`, as docs/pictures/search.png; needs the extra `bench`."""

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.report import PAGE

PICTURE = PAGE.parent / "pictures" / "search.png"


def draw(sizes: Sequence[dict[str, Any]]) -> None:
    """Time of one search against the number of templates, p50 as a line and p99 as a dot above it."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("SKIPPED: the curve was not drawn: pip install '.[bench]'", file=sys.stderr)
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), dpi=110)
    for name in dict.fromkeys(name for one in sizes for name in one["ways"]):
        measured = [(one["size"], one["ways"][name]) for one in sizes if name in one["ways"]]
        x = [size for size, _ in measured]
        style = "--" if name == "reading alone" else "-"
        (line,) = axes.plot(x, [way["p50_ms"] for _, way in measured], style, marker="o", markersize=4, label=name)
        axes.plot(x, [way["p99_ms"] for _, way in measured], "_", color=line.get_color(), markersize=9)
    axes.set(xscale="log", yscale="log", xlabel="templates", ylabel="ms a search, one thread: p50, and p99 as a dash")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, bbox_inches="tight", metadata={"Software": ""})
    plt.close(figure)
