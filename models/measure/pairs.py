"""1:1 on listed pairs: accuracy over folds, TMR at an FMR, the ROC curve.

Scores are similarities, greater is closer, float64; minus infinity stands for a missing face: a genuine pair is then
missed and an impostor pair is no false match, and neither is left out.
"""

from dataclasses import dataclass

import numpy as np

from models.measure.sample import Bools, Floats, Ints
from models.measure.threshold import threshold_for


@dataclass(frozen=True, slots=True)
class Folds:
    """Accuracy of each fold, at the threshold that was best on all the others."""

    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    correct: int
    pairs: int

    @property
    def mean(self) -> float:
        """Mean of the folds' accuracies."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Standard deviation of the folds' accuracies, of these folds themselves (divided by their number)."""
        return float(np.std(self.accuracies))


@dataclass(frozen=True, slots=True)
class MatchRate:
    """TMR at the least threshold that keeps the FMR asked for, with the counts of both kinds of pairs."""

    target_fmr: float
    threshold: float
    matched: int
    genuine: int
    false_matches: int
    impostors: int

    @property
    def tmr(self) -> float:
        """Share of genuine pairs at or above the threshold."""
        return self.matched / self.genuine


def fold_accuracy(scores: Floats, same: Bools, fold: Ints) -> Folds:
    """Chooses a threshold on all folds but one and counts right answers on that one, for each fold in turn.

    scores, same and fold: (n,); same: whether the pair is genuine; fold: which fold it belongs to.
    """
    accuracies, thresholds, correct = [], [], 0
    for held_out in np.unique(fold):
        inside = fold == held_out
        threshold = best_threshold(scores[~inside], same[~inside])
        right = (scores[inside] >= threshold) == same[inside]
        thresholds.append(threshold)
        accuracies.append(float(right.mean()))
        correct += int(right.sum())
    return Folds(tuple(accuracies), tuple(thresholds), correct, len(scores))


def best_threshold(scores: Floats, same: Bools) -> float:
    """The threshold with the most right answers; of equally good ones the middle one, half-way to the score below."""
    values = np.unique(scores[np.isfinite(scores)])[::-1]
    if len(values) == 0:
        return 1.0
    # Right answers when everything from values[i] on matches: genuine pairs above plus impostor pairs below.
    genuine = np.sort(scores[same])
    impostor = np.sort(scores[~same])
    right = len(genuine) - np.searchsorted(genuine, values) + np.searchsorted(impostor, values)
    best = np.flatnonzero(right == right.max())
    chosen = int(best[(len(best) - 1) // 2])
    below = float(values[chosen + 1]) if chosen + 1 < len(values) else float(values[chosen]) - 1.0
    return (float(values[chosen]) + below) / 2


def match_rate(genuine: Floats, impostors: Floats, target_fmr: float) -> MatchRate:
    """TMR of genuine (n,) at the least threshold that at most target_fmr of impostors (m,) reach."""
    threshold = threshold_for(impostors, target_fmr)
    return MatchRate(
        target_fmr=target_fmr,
        threshold=threshold,
        matched=int(np.count_nonzero(genuine >= threshold)),
        genuine=len(genuine),
        false_matches=int(np.count_nonzero(impostors >= threshold)),
        impostors=len(impostors),
    )


def roc(genuine: Floats, impostors: Floats) -> tuple[Floats, Floats, Floats]:
    """(thresholds falling, FMR rising, TMR rising), one point for each distinct similarity that occurs."""
    scores = np.concatenate([genuine, impostors])
    thresholds = np.unique(scores[np.isfinite(scores)])[::-1]
    fmr = 1 - np.searchsorted(np.sort(impostors), thresholds) / len(impostors)
    tmr = 1 - np.searchsorted(np.sort(genuine), thresholds) / len(genuine)
    return thresholds, fmr, tmr
