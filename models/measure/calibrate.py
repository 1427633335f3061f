"""Measures operating points: the thresholds that are served.

1:1 points come from every pair of different people, 1:K points from random galleries; in both, a person is one
template, people weigh the same, and a face that is missing is missed. `measured` is said only where the number of
people supports the rate; a decade further a fitted tail speaks, labelled `extrapolated`; beyond that there is no point.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from models.measure.all_pairs import genuine_pairs, impostor_pairs
from models.measure.comparisons import Comparisons, rate_interval
from models.measure.extrapolate import LONGEST_TAIL, extrapolated
from models.measure.intervals import Interval
from models.measure.likelihood import choose
from models.measure.operating_points import EXTRAPOLATED, MEASURED, Calibration, Origin, Point
from models.measure.sample import Sample
from models.measure.splits import Splits, draw_splits

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
FPIR_TARGETS = (0.1, 0.01, 0.001)
# So that a promise need not be ten times as strict as it was meant.
BETWEEN_TARGETS = (0.05, 0.02, 0.005, 0.002, 0.0005, 0.0002)
GALLERY_SIZES = (10, 30, 100, 300, 1000)

LEAST_MATCHED = 30
LEAST_STRANGERS = 30
WORST_EXCESS = 2.0
DECADE = 10.0
THRESHOLD_DECIMALS = 6
RATE_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class _Choice:
    target: float
    threshold: float
    interval: Interval
    support: str


def calibrate(
    sample: Sample,
    *,
    model_id: str,
    name: str,
    seed: int,
    sizes: Sequence[int] = GALLERY_SIZES,
    splits: int | None = None,
) -> Calibration:
    """Every operating point that the sample supports; the same for the same sample and seed.

    Sizes that would leave fewer than 30 strangers are left out. Raises ValueError when nobody has two photos.
    """
    if sample.photos_each().max() < 2:
        raise ValueError("nobody in the sample has two photos: what would be missed cannot be measured")
    sizes = [size for size in sizes if sample.persons - size >= LEAST_STRANGERS]
    searched = {s: draw_splits(sample, s, np.random.default_rng([seed, 2, s]), splits=splits) for s in sizes}
    chosen = choose(sample, seed=seed)
    return Calibration(
        model_id=model_id,
        sample=Origin(
            name=name,
            people=sample.persons,
            photos=len(sample),
            photos_without_face=int(np.count_nonzero(~sample.found)),
            templates_per_person=1,
            seed=seed,
        ),
        verification=tuple(_verification(sample, model_id, seed)),
        identification=_at_sizes(searched, FPIR_TARGETS, model_id, [seed, 3]),
        between=_at_sizes(searched, BETWEEN_TARGETS, model_id, [seed, 4]),
        likelihood=None if chosen is None else chosen.likelihood,
    )


def fmr_supported(target: float, interval: Interval, people_matched: int, pairs_matched: float) -> bool:
    """Whether a false match rate was measured, and surely is not above twice the target.

    people_matched: distinct people among the false matches; pairs_matched: false matches in pairs of people. Both must
    be 30 (Doddington's rule of 30 errors): a few people who look like many others, or a few pairs, are no rate.
    """
    enough = people_matched >= LEAST_MATCHED and pairs_matched >= LEAST_MATCHED
    return enough and interval[1] <= WORST_EXCESS * target


def fpir_supported(target: float, strangers: int) -> bool:
    """Whether that many distinct strangers can show the rate: the rule of three."""
    return target * strangers >= 3


def _verification(sample: Sample, model_id: str, seed: int) -> list[Point]:
    impostors, genuine = impostor_pairs(sample, LONGEST_TAIL), genuine_pairs(sample)

    def supported(choice: _Choice) -> bool:
        false = impostors.false_matches(choice.threshold)
        people = impostors.people_matched(choice.threshold)
        return fmr_supported(choice.target, choice.interval, people, float(false.weight.sum()))

    return [
        Point(
            name=f"fmr-{_plain(choice.target)}",
            kind="fmr",
            target=choice.target,
            threshold=choice.threshold,
            support=choice.support,
            measured=_rounded(impostors.fmr(choice.threshold)),
            interval=choice.interval,
            persons=impostors.people,
            impostors=impostors.pairs,
            genuine=len(genuine.score),
            gallery_size=None,
            miss=_rounded(1 - genuine.tmr(choice.threshold)),
            model_id=model_id,
        )
        for choice in _choose(impostors, FMR_TARGETS, supported, [seed, 1])
    ]


def _at_sizes(
    searched: Mapping[int, Splits], targets: Sequence[float], model_id: str, seed: list[int]
) -> tuple[Point, ...]:
    every = (_identification(searches, targets, model_id, [*seed, size]) for size, searches in searched.items())
    return tuple(point for points in every for point in points)


def _identification(searches: Splits, targets: Sequence[float], model_id: str, seed: list[int]) -> list[Point]:
    def supported(choice: _Choice) -> bool:
        return fpir_supported(choice.target, searches.independent)

    return [
        Point(
            name=f"fpir-{_plain(choice.target)}-of-{searches.gallery_size}",
            kind="fpir",
            target=choice.target,
            threshold=choice.threshold,
            support=choice.support,
            measured=_rounded(searches.fpir(choice.threshold)),
            interval=choice.interval,
            persons=searches.people,
            impostors=len(searches.answers.closest),
            genuine=len(searches.answers.own),
            gallery_size=searches.gallery_size,
            miss=_rounded(searches.miss(choice.threshold)),
            model_id=model_id,
        )
        for choice in _choose(searches, targets, supported, seed)
    ]


def _choose(
    comparisons: Comparisons, targets: Sequence[float], supported: Callable[[_Choice], bool], seed: list[int]
) -> list[_Choice]:
    """A threshold for each target, loosest first, as far as people or, one decade further, a tail support it."""
    chosen: list[_Choice] = []
    for number, target in enumerate(targets):
        generator = np.random.default_rng([*seed, number])
        threshold = _rounded_up(comparisons.threshold_for(target))
        interval = _rounded_interval(rate_interval(comparisons, threshold, generator))
        choice = _Choice(target, threshold, interval, MEASURED)
        if supported(choice):
            chosen.append(choice)
        # The sample cannot promise this rate, but what it already contradicts is not promised either.
        elif _a_decade_on(chosen, target) and (reached := extrapolated(comparisons, target, threshold, generator)):
            interval = _rounded_interval(reached.interval)
            chosen.append(_Choice(target, _rounded_up(reached.threshold), interval, EXTRAPOLATED))
    return chosen


def _a_decade_on(chosen: Sequence[_Choice], target: float) -> bool:
    """Whether a rate ten times looser was measured: no tail is followed further than that."""
    measured = [c.target for c in chosen if c.support == MEASURED]
    return bool(measured) and min(measured) <= target * DECADE * (1 + 1e-9)


def _rounded_up(threshold: float) -> float:
    # Upwards: fewer match, so the rate that was kept stays kept.
    scale = 10**THRESHOLD_DECIMALS
    return float(ceil(threshold * scale) / scale)


def _rounded(rate: float) -> float:
    return round(rate, RATE_DECIMALS)


def _rounded_interval(interval: Interval) -> Interval:
    return _rounded(interval[0]), _rounded(interval[1])


def _plain(rate: float) -> str:
    return str(np.format_float_positional(rate, trim="-"))
