"""How reliable a probability is, as a picture: what was said of people not fitted on against what was so."""

from pathlib import Path

import numpy as np

from models.measure.likelihood import Choice, probability
from models.measure.plots import DOTS_PER_INCH, needs_matplotlib
from models.measure.sample import Floats

__all__ = ["draw_reliability", "needs_matplotlib"]

SIZE_INCHES = (9.0, 4.2)


def draw_reliability(choice: Choice, file: Path) -> None:
    """Two panels as one PNG: said against so for each way to fit, and the probability over similarity of the one taken.

    The area of a dot grows with the share of comparisons behind it. Raises ExtraMissing without matplotlib.
    """
    needs_matplotlib()
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    try:
        left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for method, told in choice.reliability.items():
            (line,) = left.plot(told.said, told.so, label=method, linewidth=1)
            left.scatter(told.said, told.so, s=12 + 200 * told.share, color=line.get_color(), alpha=0.5)
        left.set(xlabel="said", ylabel="so, half of the comparisons being rightful", aspect="equal")
        left.legend(frameon=False)
        at: Floats = np.linspace(-0.2, 1.0, 600)
        likelihood = choice.likelihood
        for among, label in ((1, "1:1, half rightful"), (100, "among 100"), (1000, "among 1,000")):
            right.plot(at, probability(likelihood.knots, at, among=among), label=label)
        right.set(xlabel="similarity", ylabel="probability", title=likelihood.method)
        right.legend(frameon=False)
        for axes in (left, right):
            axes.grid(visible=True, alpha=0.3)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, bbox_inches="tight", metadata={"Software": ""})
    finally:
        plt.close(figure)
