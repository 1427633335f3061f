"""A promise instead of a number: at most so many wrong opens a year, at so many attempts by strangers a day.

A wrong open is a stranger who is recognized as somebody, so that a promise is a false positive identification rate
(FPIR); which threshold keeps that depends on how many are enrolled. A promise is kept by the upper end of a point's
interval, not by its middle: what the sample leaves open is not promised.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.domain.operating_point import EXTRAPOLATED, MEASURED, OUTGROWN, Calibration, OperatingPoint
from app.errors import UnsupportedTarget

DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Promise:
    """At most so many wrong opens a year at so many attempts by strangers a day. Raises ValueError unless above 0."""

    wrong_opens_per_year: float
    stranger_attempts_per_day: float

    def __post_init__(self) -> None:
        for number in (self.wrong_opens_per_year, self.stranger_attempts_per_day):
            if not math.isfinite(number) or number <= 0:
                raise ValueError("a promise needs a number of wrong opens and of attempts, each above 0")

    @property
    def attempts_per_year(self) -> float:
        """By strangers."""
        return self.stranger_attempts_per_day * DAYS_A_YEAR

    @property
    def fpir(self) -> float:
        """The share of strangers' attempts that may open, 0..1."""
        return min(1.0, self.wrong_opens_per_year / self.attempts_per_year)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A promise before a gallery.

    kept: whether the evidence supports it at this size; point: the loosest point that keeps it, else the tightest that
    was measured; support: `measured` or `extrapolated` as the point is kept, `outgrown` where only a smaller gallery
    keeps it, None where none does; fpir: (found, low, high) at the point's threshold and this size, 95 %; up_to: people
    or templates up to which it is kept; least: the fewest wrong opens a year that can be promised here, None for none.
    """

    promise: Promise
    compared: int
    kept: bool
    point: OperatingPoint
    support: str | None
    fpir: tuple[float, float, float]
    up_to: int | None
    least: float | None

    @property
    def wrong_opens(self) -> tuple[float, float, float]:
        """(found, low, high) a year at the point's threshold, 95 %."""
        found, low, high = self.fpir
        attempts = self.promise.attempts_per_year
        return found * attempts, low * attempts, high * attempts


@dataclass(frozen=True, slots=True)
class _Reach:
    """A point at a gallery's size; growth: how many times as large the gallery is as the one that was measured."""

    point: OperatingPoint
    growth: float

    @property
    def fpir(self) -> tuple[float, float, float]:
        # At one threshold FPIR grows at most as the number of comparisons does.
        low, high = self.point.interval
        return min(1.0, self.point.measured * self.growth), min(1.0, low), min(1.0, high * self.growth)


def weigh(calibration: Calibration, promise: Promise, compared: int, *, accept_extrapolated: bool = False) -> Weighed:
    """Whether and how the promise is kept before a gallery of that many persons or templates, whichever are more.

    accept_extrapolated: a fitted tail, or a bound for a gallery larger than every measured one, will do where nothing
    measured keeps it. Raises ValueError for fewer than one compared.
    """
    if compared < 1:
        raise ValueError("a gallery holds at least one person")
    within = list(_reaching(calibration, compared, accept_extrapolated=accept_extrapolated))
    keeping = [reach for reach in within if reach.fpir[2] <= promise.fpir]
    # What was measured goes before what was not, even where it misses more.
    firm = [reach for reach in keeping if _is_measured(reach)] or keeping
    up_to = _up_to(calibration, promise, accept_extrapolated=accept_extrapolated)
    least = min((reach.fpir[2] for reach in within), default=None)
    chosen = min(firm, key=lambda reach: reach.point.threshold) if firm else _tightest(calibration, compared)
    support = (MEASURED if _is_measured(chosen) else EXTRAPOLATED) if firm else OUTGROWN if up_to else None
    return Weighed(
        promise=promise,
        compared=compared,
        kept=bool(firm),
        point=chosen.point if support is None else replace(chosen.point, support=support),
        support=support,
        fpir=chosen.fpir,
        up_to=up_to,
        least=None if least is None else least * promise.attempts_per_year,
    )


def keep(calibration: Calibration, promise: Promise, compared: int, *, accept_extrapolated: bool = False) -> Weighed:
    """The same, where the promise is kept. Raises UnsupportedTarget, with the least FPIR that could be promised."""
    weighed = weigh(calibration, promise, compared, accept_extrapolated=accept_extrapolated)
    if not weighed.kept:
        least = None if weighed.least is None else weighed.least / promise.attempts_per_year
        raise UnsupportedTarget("fpir", least, refusal(weighed, accept_extrapolated=accept_extrapolated))
    return weighed


def refusal(weighed: Weighed, *, accept_extrapolated: bool) -> str:
    """Why a promise is not made, and what could be."""
    promise = weighed.promise
    text = (
        f"At most {promise.wrong_opens_per_year:g} wrong opens a year at {promise.stranger_attempts_per_day:g} "
        f"attempts by strangers a day cannot be promised for {weighed.compared} people: "
    )
    if weighed.least is None:
        text += "no gallery so large was measured"
    else:
        text += f"the least that can be is {up_to_two_digits(weighed.least)}"
    if weighed.up_to is not None:
        text += f"; for {weighed.up_to} people and fewer it can"
    return text + ("." if accept_extrapolated else ". Beyond what was measured, accept_extrapolated may reach further.")


def up_to_two_digits(number: float) -> str:
    """Rounded up to two digits, for what is promised is not less than what holds."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return f"{math.ceil(number / step - 1e-9) * step:.10g}"


def _points(calibration: Calibration) -> Iterator[OperatingPoint]:
    yield from calibration.identification
    yield from calibration.between


def _sizes(calibration: Calibration) -> list[int]:
    return sorted({p.gallery_size for p in calibration.identification if p.gallery_size is not None})


def _reaching(calibration: Calibration, compared: int, *, accept_extrapolated: bool) -> Iterator[_Reach]:
    largest = _sizes(calibration)[-1]
    for point in _points(calibration):
        size = point.gallery_size or 0
        if size >= compared and (accept_extrapolated or point.support == MEASURED):
            yield _Reach(point, 1.0)
        elif size == largest and accept_extrapolated:
            yield _Reach(point, compared / size)


def _is_measured(reach: _Reach) -> bool:
    return reach.growth == 1.0 and reach.point.support == MEASURED


def _tightest(calibration: Calibration, compared: int) -> _Reach:
    """The measured point with the least upper end, at the smallest size that is large enough, else at the largest."""
    sizes = _sizes(calibration)
    size = next((s for s in sizes if s >= compared), sizes[-1])
    measured = [p for p in _points(calibration) if p.gallery_size == size and p.support == MEASURED]
    return _Reach(min(measured, key=lambda p: p.interval[1]), max(1.0, compared / size))


def _up_to(calibration: Calibration, promise: Promise, *, accept_extrapolated: bool) -> int | None:
    """How many people the promise is kept for at most, None for not even one."""
    sizes = _sizes(calibration)
    allowed = [p for p in _points(calibration) if accept_extrapolated or p.support == MEASURED]
    keeping = [p for p in allowed if p.interval[1] <= promise.fpir]
    reached = [p.gallery_size for p in keeping if p.gallery_size is not None]
    if accept_extrapolated:
        reached += [
            int(sizes[-1] * promise.fpir / p.interval[1])
            for p in keeping
            if p.gallery_size == sizes[-1] and p.interval[1] > 0
        ]
    return max(reached, default=None)
