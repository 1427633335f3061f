"""Similarity and threshold -> an answer. Below the threshold nobody has a name (DESIGN, rule 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.operating_point import OperatingPoint
from app.domain.person import Person


def distance(similarity: float) -> float:
    """Squared Euclidean distance of two unit vectors with that inner product, in [0, 4]."""
    return 2.0 - 2.0 * similarity


@dataclass(frozen=True, slots=True)
class Candidate:
    """The best template of one person against the probe."""

    person: Person
    template_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Match:
    """1:1: the face is that of the claimed person."""

    similarity: float
    template_id: str | None


@dataclass(frozen=True, slots=True)
class NoMatch:
    """1:1: it is not, or must not count. similarity: what was measured, shown only to a key that may see it."""

    similarity: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Recognized:
    """1:K: the person above the threshold; margin to the second person, None where there is none."""

    candidate: Candidate
    margin: float | None


@dataclass(frozen=True, slots=True)
class NotRecognized:
    """1:K: nobody; `best` and margin are shown only to a key that may see candidates."""

    best: float | None
    margin: float | None
    reason: str


def verify(
    similarity: float | None,
    template_id: str | None,
    point: OperatingPoint,
    *,
    validity: str | None = None,
    quality: float = 1.0,
    quality_floor: float = 0.0,
    min_quality: float | None = None,
) -> Match | NoMatch:
    """Decides 1:1. `validity`: why the person may not match now; similarity None: the person has no template.

    Reasons: `poor_quality` below a `min_quality` that was asked for, or below the threshold and the floor;
    `below_threshold`; `not_yet_valid` and `expired` only for a face that did match.
    """
    # `not (a >= b)` and not `a < b`: a quality that is NaN is poor, and a similarity that is NaN is no match.
    if min_quality is not None and not quality >= min_quality:
        return NoMatch(similarity, "poor_quality")
    if similarity is None or not similarity >= point.threshold:
        return NoMatch(similarity, "below_threshold" if quality >= quality_floor else "poor_quality")
    if validity is not None:
        return NoMatch(similarity, validity)
    return Match(similarity, template_id)


def identify(
    ranked: Sequence[Candidate],
    point: OperatingPoint,
    *,
    validity: str | None = None,
    quality: float = 1.0,
    quality_floor: float = 0.0,
    min_quality: float | None = None,
    least_margin: float = 0.0,
) -> Recognized | NotRecognized:
    """Decides 1:K from candidates, one a person, closest first. `validity`: why the first may not match now.

    Reasons as in `verify`, and `empty_gallery`, and `ambiguous` where the second person is closer than `least_margin`,
    or just as close: which of two equals is named would be chance.
    """
    if not ranked:
        return NotRecognized(None, None, "empty_gallery")
    best = ranked[0]
    margin = best.similarity - ranked[1].similarity if len(ranked) > 1 else None
    answer = verify(
        best.similarity,
        best.template_id,
        point,
        validity=validity,
        quality=quality,
        quality_floor=quality_floor,
        min_quality=min_quality,
    )
    if isinstance(answer, NoMatch):
        return NotRecognized(best.similarity, margin, answer.reason)
    if margin is not None and (margin <= 0 or margin < least_margin):
        return NotRecognized(best.similarity, margin, "ambiguous")
    return Recognized(best, margin)
