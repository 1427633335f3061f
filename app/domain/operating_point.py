"""Thresholds that mean something: each belongs to an error rate, a sample and a model (DESIGN, rule 4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.likelihood import Likelihood
from app.errors import UnsupportedTarget

MEASURED, EXTRAPOLATED, OUTGROWN = "measured", "extrapolated", "outgrown"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold on similarity and what is known of it.

    kind: `fmr` (1:1) or `fpir` (1:K); target and measured: the rate asked for and the rate found on the sample;
    interval: 95 % over people; persons, impostors, genuine: distinct people, impostor and genuine comparisons in the
    sample; gallery_size: None for 1:1; miss: the share of rightful attempts below the threshold on that sample.
    """

    name: str
    kind: str
    target: float
    threshold: float
    support: str
    measured: float
    interval: tuple[float, float]
    persons: int
    impostors: int
    genuine: int
    gallery_size: int | None
    miss: float
    model_id: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """All operating points measured for one model.

    between: 1:K points at targets between those of `identification`, for promises; likelihood: what a similarity says
    of a match, None until that was fitted; sample: what all of it was measured on; own: whether the photos were this
    home's own, and not those of what is shipped.
    """

    model_id: str
    verification: tuple[OperatingPoint, ...]
    identification: tuple[OperatingPoint, ...]
    between: tuple[OperatingPoint, ...] = ()
    likelihood: Likelihood | None = None
    sample: str = ""
    own: bool = False

    def chance_of_match(self, similarity: float | None) -> float | None:
        """1:1: how likely both are one person; None where that was never fitted, or for no similarity."""
        return None if self.likelihood is None else self.likelihood.of_match(similarity)

    def chance_of_person(self, similarity: float | None, compared: int) -> float | None:
        """1:K: how likely the closest of so many is the right person; None as above."""
        return None if self.likelihood is None else self.likelihood.of_person(similarity, compared)

    def for_verification(self, target: float | None = None, *, accept_extrapolated: bool = False) -> OperatingPoint:
        """The point for 1:1; without a target the tightest measured one. Raises UnsupportedTarget."""
        return _choose(self.verification, "fmr", target, accept_extrapolated=accept_extrapolated)

    def for_identification(
        self, compared: int, target: float | None = None, *, accept_extrapolated: bool = False
    ) -> OperatingPoint:
        """The point for a gallery: that of the smallest measured gallery at least as large.

        compared: how many a face is compared with, the larger of persons and templates enrolled. What was measured
        held one template a person, and a person's further templates are further chances of a false positive.

        A gallery larger than every measured one gets the tightest measured point of the largest, marked `outgrown`,
        but keeps no target that was asked for: that is refused, unless accept_extrapolated allows a bound for it.
        Raises UnsupportedTarget.
        """
        sizes = sorted({p.gallery_size for p in self.identification if p.gallery_size is not None})
        fitting = next((size for size in sizes if size >= compared), sizes[-1])
        points = tuple(p for p in self.identification if p.gallery_size == fitting)
        if fitting >= compared:
            return _choose(points, "fpir", target, accept_extrapolated=accept_extrapolated)
        if target is None:
            return replace(_choose(points, "fpir", None, accept_extrapolated=False), support=OUTGROWN)
        if not accept_extrapolated:
            raise UnsupportedTarget("fpir", None, _outgrown(compared, fitting))
        # At one threshold FPIR grows at most as the number of comparisons does.
        return _bounded(points, target, growth=compared / fitting)


def _choose(
    points: Sequence[OperatingPoint], kind: str, target: float | None, *, accept_extrapolated: bool
) -> OperatingPoint:
    measured = [p for p in points if p.support == MEASURED]
    if target is None:
        return min(measured, key=lambda p: p.target)
    # A point promises its own target and every looser one; the loosest that keeps the promise misses fewest.
    allowed = points if accept_extrapolated else measured
    keeping = [p for p in allowed if p.target <= target]
    if not keeping:
        least = min((p.target for p in allowed), default=None)
        raise UnsupportedTarget(kind, least, _refusal(kind, target, least, accept_extrapolated))
    return max(keeping, key=lambda p: p.target)


def _bounded(points: Sequence[OperatingPoint], target: float, *, growth: float) -> OperatingPoint:
    """The loosest point that still keeps the target when its rate is `growth` times as high."""
    keeping = [p for p in points if p.target * growth <= target]
    if not keeping:
        least = min(p.target for p in points) * growth
        raise UnsupportedTarget("fpir", least, _refusal("fpir", target, least, accept_extrapolated=True))
    return replace(max(keeping, key=lambda p: p.target), support=EXTRAPOLATED)


def _outgrown(compared: int, largest: int) -> str:
    return (
        f"The gallery holds {compared} persons or templates and no more than {largest} were measured, so that no FPIR "
        "can be promised: leave the target out, or send accept_extrapolated=true."
    )


def _refusal(kind: str, target: float, least: float | None, accept_extrapolated: bool) -> str:
    rate = kind.upper()
    way_out = "" if accept_extrapolated else ", or send accept_extrapolated=true"
    return f"The calibration supports no {rate} of {target:g}; the least is {least:g}: ask for that or more{way_out}."
