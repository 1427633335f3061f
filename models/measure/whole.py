"""Everything that is said of one encoder on one data set: the columns of the tables, and the curves of the plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.measure.galleries import by_size, open_set_measured
from models.measure.gallery import open_set
from models.measure.identities import open_set_photos
from models.measure.lfw import person_of
from models.measure.lfw_figures import Figure, Lfw, view_2_figures
from models.measure.readings import NO_FACE, REFUSED, Readings
from models.measure.sample import Floats, Ints
from models.measure.side_by_side import Measured
from models.measure.verified import AllPairs, Curve

FMR_LFW = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FMR_FOLDER = (1e-2, 1e-3, 1e-4)
TIGHTEST_DRAWN = 1e-5
PAIRS_ALIKE = "all pairs, each impostor pair weighing the same"
PEOPLE_ALIKE = "all pairs, people alike"
QUALITY = "all pairs at FMR 0.001, by the worse quality of the two photos"
GALLERIES = "random galleries"
OPEN_SET = "open set"


@dataclass(frozen=True, slots=True)
class Whole:
    """measured: every figure; verification: TMR against FMR; galleries: FPIR -> FNIR against size, where measured."""

    measured: tuple[Measured, ...]
    verification: Curve
    galleries: Mapping[float, Curve] = field(default_factory=dict)


def lfw_whole(read: Lfw, quality: Floats) -> Whole:
    """LFW: photos, View 2, open set, all pairs in both weightings, galleries of 100 to 5,000, fifths by quality.

    quality: float64 (photos,) 0..1, in the order of the protocol's photos.
    """
    measured = photos_measured(read.readings, read.protocol.photos())
    measured += [Measured(figure) for figure in view_2_figures(read)]
    photos = read.protocol.open_set()
    if photos.probes and photos.strangers:
        measured += open_set_measured(OPEN_SET, read.search(photos), read.sample.persons)
    measured += AllPairs.of(read.sample, FMR_LFW[0], people_weigh_the_same=False).figures(PAIRS_ALIKE, FMR_LFW)
    pairs = AllPairs.of(read.sample, FMR_LFW[0])
    measured += pairs.figures(PEOPLE_ALIKE, FMR_LFW)
    sized, curves = by_size(GALLERIES, read.sample)
    measured += [*sized, *pairs.by_quality(QUALITY, quality)]
    return Whole(tuple(measured), pairs.curve(FMR_LFW[-1], FMR_LFW[0]), curves)


def folder_whole(readings: Readings, people: Mapping[str, Sequence[str]]) -> Whole:
    """Any folder of identities: photos, open set, all pairs. people: identity -> paths of the photos.

    Raises ValueError when by the rule nobody has a probe, or nobody is a stranger.
    """
    photos = open_set_photos(people)
    if not photos.probes or not photos.strangers:
        raise ValueError(f"{len(people)} people are too few for an open set: some must be enrolled, some strangers")
    paths = [path for own in people.values() for path in own]
    number = {path: i for i, path in enumerate(paths)}
    sample = readings.sample(paths, [person_of(path) for path in paths])

    def numbers(some: Sequence[str]) -> Ints:
        return np.array([number[path] for path in some], np.int64)

    answers = open_set(sample, numbers(photos.enrolled), numbers(photos.probes), numbers(photos.strangers))
    pairs = AllPairs.of(sample, FMR_FOLDER[0])
    measured = photos_measured(readings, paths)
    measured += open_set_measured(OPEN_SET, answers, sample.persons)
    measured += pairs.figures(PEOPLE_ALIKE, FMR_FOLDER)
    return Whole(tuple(measured), pairs.curve(TIGHTEST_DRAWN, FMR_FOLDER[0]))


def photos_measured(readings: Readings, paths: Sequence[str]) -> list[Measured]:
    """How many photos show no face, and how many were refused."""
    named = ((NO_FACE, "without a face"), (REFUSED, "refused"))
    counts = [(name, readings.count(paths, state)) for state, name in named]
    return [Measured(Figure("photos", name, count / len(paths), count, len(paths))) for name, count in counts]
