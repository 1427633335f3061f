"""Facts -> the JSON that is shown, and its shapes for OpenAPI. No vector has a shape here."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from typing_extensions import TypedDict

from app.actions.timings import Timings
from app.domain.decision import distance
from app.domain.face import Face, Quality
from app.domain.operating_point import OperatingPoint
from app.domain.person import Person, Template


class QualityBody(TypedDict):
    """How usable a face is."""

    score: float
    reasons: list[str]
    size_px: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    brightness: float
    cut_off: float


class FaceBody(TypedDict):
    """One face: box xyxy in pixels of the upright image."""

    box: list[float]
    quality: QualityBody


class TargetBody(TypedDict):
    """The error rate that was asked for; kind: fmr or fpir."""

    kind: str
    value: float


class PointBody(TypedDict):
    """What the threshold stands on."""

    name: str
    target: TargetBody
    support: str
    measured: float
    interval: list[float]
    persons: int
    impostors: int
    genuine: int
    gallery_size: int | None
    model_id: str


class TimingsBody(TypedDict):
    """Milliseconds."""

    decode: float
    detect: float
    align: float
    encode: float
    search: float
    rest: float
    queue: float
    total: float


class PersonBody(TypedDict):
    """Somebody enrolled."""

    id: str
    name: str
    external_id: str | None
    metadata: dict[str, Any]
    galleries: list[str]
    groups: list[str]
    consent: str | None
    active: bool
    face_opt_out: bool
    valid_from: str | None
    valid_until: str | None
    created_at: str
    updated_at: str


class WhoBody(TypedDict):
    """Who was recognized."""

    id: str
    name: str
    external_id: str | None


class TemplateBody(TypedDict):
    """One enrolled look; the vector is never shown."""

    id: str
    model_id: str
    quality: QualityBody
    created_at: str


class LookalikeBody(TypedDict):
    """Somebody enrolled who looks like the face at hand."""

    person_id: str
    name: str
    similarity: float


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode(), status, headers, "application/json")


def moment(time: datetime | None) -> str | None:
    """RFC 3339 in UTC, milliseconds."""
    return None if time is None else stamp(time)


def stamp(time: datetime) -> str:
    """The same for a time that there is."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def closeness_of(similarity: float | None) -> float | None:
    """A similarity, or a difference of two, to six digits; null for none and for what is no number."""
    return None if similarity is None or not math.isfinite(similarity) else round(similarity, 6)


def distance_of(similarity: float | None) -> float | None:
    """The squared Euclidean distance that belongs to it."""
    return None if similarity is None else closeness_of(distance(similarity))


def probability_of(chance: float | None) -> float | None:
    """A chance to six digits, never 0 and never 1: no sample says so much."""
    return None if chance is None else min(max(round(chance, 6), 1e-6), 1 - 1e-6)


def quality_body(quality: Quality) -> QualityBody:
    """Two digits more than the numbers are good for."""
    return {
        "score": round(float(quality.score), 4),
        "reasons": list(quality.reasons),
        "size_px": round(float(quality.size_px), 1),
        "yaw": round(float(quality.yaw), 1),
        "pitch": round(float(quality.pitch), 1),
        "roll": round(float(quality.roll), 1),
        "sharpness": round(float(quality.sharpness), 4),
        "brightness": round(float(quality.brightness), 4),
        "cut_off": round(float(quality.cut_off), 4),
    }


def box_body(face: Face) -> list[float]:
    """[x0, y0, x1, y1] in pixels."""
    return [round(float(x), 1) for x in face.box]


def face_body(face: Face) -> FaceBody:
    """Where the face is, and how good."""
    return {"box": box_body(face), "quality": quality_body(face.quality)}


def point_body(point: OperatingPoint) -> PointBody:
    """The operating point as every decision carries it."""
    return {
        "name": point.name,
        "target": {"kind": point.kind, "value": point.target},
        "support": point.support,
        "measured": point.measured,
        "interval": list(point.interval),
        "persons": point.persons,
        "impostors": point.impostors,
        "genuine": point.genuine,
        "gallery_size": point.gallery_size,
        "model_id": point.model_id,
    }


def timings_body(timings: Timings) -> TimingsBody:
    """Hundredths of a millisecond."""
    return {
        "decode": round(timings.decode, 2),
        "detect": round(timings.detect, 2),
        "align": round(timings.align, 2),
        "encode": round(timings.encode, 2),
        "search": round(timings.search, 2),
        "rest": round(timings.rest, 2),
        "queue": round(timings.queue, 2),
        "total": round(timings.total, 2),
    }


def person_body(person: Person, galleries: Sequence[str]) -> PersonBody:
    """Everything that is said of a person; galleries: those that the caller may hear of."""
    return {
        "id": person.id,
        "name": person.name,
        "external_id": person.external_id,
        "metadata": dict(person.metadata),
        "galleries": list(galleries),
        "groups": list(person.groups),
        "consent": person.consent,
        "active": person.active,
        "face_opt_out": person.face_opt_out,
        "valid_from": moment(person.valid_from),
        "valid_until": moment(person.valid_until),
        "created_at": stamp(person.created_at),
        "updated_at": stamp(person.updated_at),
    }


def who_body(person: Person) -> WhoBody:
    """As little as names somebody."""
    return {"id": person.id, "name": person.name, "external_id": person.external_id}


def template_body(template: Template) -> TemplateBody:
    """The template without its vector."""
    return {
        "id": template.id,
        "model_id": template.model_id,
        "quality": quality_body(template.quality),
        "created_at": stamp(template.created_at),
    }


def etag(person: Person) -> str:
    """The revision as an entity tag."""
    return f'"{person.revision}"'
