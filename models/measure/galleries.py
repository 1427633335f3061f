"""1:K: an open set at hand, with paired intervals, and FNIR against the size of the gallery."""

from collections.abc import Sequence

import numpy as np

from models.measure.gallery import OpenSet
from models.measure.intervals import redraw
from models.measure.lfw_figures import Figure
from models.measure.redrawn import REPLICATES, Identification
from models.measure.sample import Sample
from models.measure.side_by_side import Measured, replicated
from models.measure.splits import draw_splits
from models.measure.verified import Curve

SEED = 20140102
SIZES = (100, 300, 1000, 3000, 5000)
SPLITS = 30
FPIR = (0.1, 0.01)


def open_set_measured(section: str, answers: OpenSet, people: int) -> list[Measured]:
    """Rank-1, and FNIR at each FPIR with the threshold set on the very strangers, photos weighing the same.

    people: in the sample. In each replicate people are drawn, the enrolled with their probes and the strangers with
    their photos together, and the threshold is set anew; the gallery stays as it is.
    """
    drawn = redraw(people, np.random.default_rng([SEED, 1]), REPLICATES)
    known = Identification(answers, people)
    found, probes = int(answers.first().sum()), len(answers.own)
    strangers = f"{len(answers.closest)} photos of {len(np.unique(answers.stranger))} strangers"
    note = f"{answers.people} people enrolled by one photo; {strangers}"
    rank_one = Figure(section, "rank-1", answers.rank_one(), found, probes, note=note)
    probed = len(np.unique(answers.probe))
    figures = [replicated(rank_one, known.rank_one(drawn), probed)]
    redrawn = known.fnir(FPIR, drawn)
    for number, fpir in enumerate(FPIR):
        threshold = answers.threshold_for(fpir)
        false, missed = int((answers.closest >= threshold).sum()), int(answers.missed(threshold).sum())
        note = f"at {threshold:.4f} {false} of {len(answers.closest)} stranger photos are taken for somebody"
        figure = Figure(section, f"FNIR at FPIR {fpir:g}", answers.fnir(threshold), missed, probes, note=note)
        figures.append(replicated(figure, redrawn[:, number], probed))
    return figures


def by_size(section: str, sample: Sample, sizes: Sequence[int] = SIZES) -> tuple[list[Measured], dict[float, Curve]]:
    """FNIR at each FPIR in random galleries of each size that leaves strangers: as figures, and FPIR -> curve.

    30 splits of the people into gallery and strangers; the interval draws the people who were probed, at the threshold
    of all splits together.
    """
    figures: list[Measured] = []
    points: dict[float, list[tuple[float, float, float, float]]] = {fpir: [] for fpir in FPIR}
    for size in [size for size in sizes if size < sample.persons]:
        splits = draw_splits(sample, size, np.random.default_rng([SEED, 2, size]), splits=SPLITS)
        if not len(splits.answers.own):
            continue
        for number, fpir in enumerate(FPIR):
            threshold = splits.threshold_for(fpir)
            missed, probes = int(splits.answers.missed(threshold).sum()), len(splits.answers.own)
            generator = np.random.default_rng([SEED, 3, size, number])
            low, high = splits.answers.fnir_interval(threshold, generator)
            fnir = splits.miss(threshold)
            note = f"{SPLITS} galleries, {splits.independent} strangers before each; at {threshold:.4f}"
            name = f"FNIR at FPIR {fpir:g} of {size}"
            figures.append(Measured(Figure(section, name, fnir, missed, probes, (low, high), note)))
            points[fpir].append((float(size), fnir, low, high))
    return figures, {fpir: Curve(*np.array(rows).T) for fpir, rows in points.items() if rows}
