"""1:1 under the conditions of a door: enrolled by a clean photo, probed by another one under each condition.

The threshold of a condition is set on that condition's own impostors, every probe before everybody else's template, so
that a condition that draws strangers together is not flattered. A probe whose face is not found is a miss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from models.measure.all_pairs import Genuine
from models.measure.comparisons import FalseMatches
from models.measure.intervals import redraw
from models.measure.lfw import Protocol, photo
from models.measure.lfw_figures import Figure
from models.measure.readings import FOUND, Readings
from models.measure.redrawn import REPLICATES, Verification
from models.measure.sample import NO_FACE, Floats
from models.measure.side_by_side import Measured, replicated

SEED = 20140103
FMR = (1e-3, 1e-4)
CLEAN = "clean"
MEAN = "doors: misses, mean of the conditions without the clean photos"
SERVED = "doors: TMR at the threshold served"
NOT_FOUND = "doors: probes without a face"
# With people redrawn the same rate reaches further down: so much more is kept, and this much at least.
SPARE, LEAST_KEPT = 3.0, 5000


@dataclass(frozen=True, slots=True)
class DoorPhotos:
    """Of each person the photo that enrols and the one that probes, as paths relative to the data's folder."""

    enrolled: tuple[str, ...]
    probes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Before:
    """Every probe before every other person's template: the closest are kept. People are numbered as the probes."""

    kept: FalseMatches
    complete: bool

    def totals(self, drawn: Floats) -> Floats:
        """Comparisons when people count so often, float64 (n,); two draws of one person are none."""
        total: Floats = drawn.sum(1) ** 2 - (drawn**2).sum(1)
        return total


def door_photos(protocol: Protocol, people: int | None = None) -> DoorPhotos:
    """The first and the last photo of everybody with several; of so many people, evenly over their names, if told.

    Raises ValueError for fewer than two.
    """
    names = [name for name in sorted(protocol.photos_of) if protocol.photos_of[name] > 1]
    if people is not None and people < len(names):
        names = [names[int(i)] for i in np.linspace(0, len(names) - 1, max(people, 2)).round()]
    if len(names) < 2:
        raise ValueError("two people with two photos each are needed")
    last = tuple(photo(name, protocol.photos_of[name]) for name in names)
    return DoorPhotos(tuple(photo(name, 1) for name in names), last)


def key(condition: str, path: str) -> str:
    """By what the crop of a photo under a condition is kept; `clean` is none."""
    return f"{condition}/{path}"


def doors_measured(
    readings: Readings, photos: DoorPhotos, conditions: Sequence[str], served: float | None
) -> list[Measured]:
    """TMR at each FMR and the probes not found, for each condition, clean photos first, and their mean without those.

    served: the threshold at which the service would compare, None where it has none for this model.
    """
    drawn = redraw(len(photos.probes), np.random.default_rng([SEED, 1]), REPLICATES)
    scores = {one: similarities(readings, photos, one) for one in (CLEAN, *conditions)}
    measured: list[Measured] = []
    means: list[Measured] = []
    for fmr in FMR:
        found = {one: _tmr(section_of(fmr), one, score, fmr, drawn) for one, score in scores.items()}
        measured += found.values()
        means.append(_mean_miss(f"at FMR {fmr:g}", [found[one] for one in conditions], len(photos.probes)))
    if served is not None:
        found = {one: _served(one, score, served, drawn) for one, score in scores.items()}
        measured += found.values()
        means.append(_mean_miss("at the threshold served", [found[one] for one in conditions], len(photos.probes)))
    measured += means
    for one in scores:
        missing = sum(readings[key(one, path)].state != FOUND for path in photos.probes)
        figure = Figure(NOT_FOUND, one, missing / len(photos.probes), missing, len(photos.probes))
        measured.append(Measured(figure))
    return measured


def section_of(fmr: float) -> str:
    """What the table of that FMR is called."""
    return f"doors: TMR at FMR {fmr:g}"


def similarities(readings: Readings, photos: DoorPhotos, condition: str) -> Floats:
    """float64 (n, n): each person's probe under the condition before each person's template, NO_FACE without a face."""
    probes = [readings[key(condition, path)].vector for path in photos.probes]
    templates = [readings[key(CLEAN, path)].vector for path in photos.enrolled]
    size = next((len(v) for v in (*probes, *templates) if v is not None), 1)
    nothing = np.zeros(size, np.float32)
    rows, columns = (np.stack([nothing if v is None else v for v in some]) for some in (probes, templates))
    score: Floats = (rows @ columns.T).astype(np.float64)
    score[[v is None for v in probes]] = NO_FACE
    score[:, [v is None for v in templates]] = NO_FACE
    return score


def before_others(score: Floats, share: float) -> Before:
    """The impostors of (n, n) similarities: at least `share` of them, and all when there are few."""
    high = len(score)
    away = ~np.eye(high, dtype=np.bool_) & np.isfinite(score)
    values = score[away]
    wanted = max(LEAST_KEPT, ceil(share * high * (high - 1)))
    floor = -np.inf if wanted >= len(values) else float(np.partition(values, len(values) - wanted)[-wanted])
    first, second = np.nonzero(away & (score >= floor))
    kept = score[first, second]
    falling = np.argsort(-kept, kind="stable")
    false = FalseMatches(kept[falling], np.ones(len(kept)), first[falling], second[falling])
    return Before(false, complete=len(kept) == len(values))


def _tmr(section: str, condition: str, score: Floats, fmr: float, drawn: Floats) -> Measured:
    people = len(score)
    pairs = Verification(before_others(score, SPARE * fmr), Genuine(np.diag(score).copy(), np.arange(people), people))
    tmr = float(pairs.tmr([fmr])[0, 0])
    return replicated(
        Figure(section, condition, tmr, round(tmr * people), people), pairs.tmr([fmr], drawn)[:, 0], people
    )


def _served(condition: str, score: Floats, threshold: float, drawn: Floats) -> Measured:
    people = len(score)
    matched = np.diag(score) >= threshold
    false = int((score[~np.eye(people, dtype=np.bool_)] >= threshold).sum())
    note = f"at {threshold:.4f}; {false} of {people * (people - 1)} impostors match"
    tmr = float(matched.mean())
    figure = Figure(SERVED, condition, tmr, int(matched.sum()), people, note=note)
    return replicated(figure, drawn @ matched / drawn.sum(1), people)


def _mean_miss(name: str, found: Sequence[Measured], people: int) -> Measured:
    replicates = 1 - np.mean([one.replicates for one in found if one.replicates is not None], axis=0)
    value = 1 - float(np.mean([one.figure.value for one in found]))
    return replicated(Figure(MEAN, name, value), replicates, people)
