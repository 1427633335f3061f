"""Merges, splits, and their undoing; /duplicates: where they may be needed."""

import base64
import binascii
import json
from typing import Any

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.duplicates import Finding, Place
from app.actions.merge import Changed
from app.domain.gallery import Within, shown
from app.domain.identity import IdentityChange
from app.domain.particulars import LONGEST_NAME
from app.errors import InvalidField
from app.routes import body
from app.routes.access import bound_to
from app.routes.answers import (
    PersonBody,
    PointBody,
    WhoBody,
    answer,
    closeness_of,
    distance_of,
    moment,
    person_body,
    point_body,
    stamp,
    who_body,
)
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.kinds import flag, share, text, texts
from app.routes.pages import CURSOR, LIMIT

MOST_SPLIT = 500
MERGE = Fields(Field("into", text(100), "the person who gets every template", required=True))
SPLIT = Fields(
    Field("templates", texts(MOST_SPLIT), "ids of some, not all, of the person's templates", required=True),
    Field("name", text(LONGEST_NAME), "the new person's name; none: the same"),
)
LIST = Fields(
    Field("target_fmr", share(above_zero=True), "the 1:1 point that pairs are judged by; none: see the answer"),
    Field("accept_extrapolated", flag(), "take a point beyond the measured ones", default=False),
    Field("gallery", text(100), "only its members", default="all"),
    LIMIT,
    CURSOR,
)


class ChangeBody(TypedDict):
    """kind: `merge` of person_id into other_id, or `split` of person_id from other_id."""

    id: str
    kind: str
    person_id: str
    other_id: str
    templates: list[str]
    made_at: str
    undone_at: str | None


class ChangedBody(TypedDict):
    """persons: who of the two is there now, that of other_id first."""

    change: ChangeBody
    persons: list[PersonBody]
    index_seq: int


class DuplicateBody(TypedDict):
    """kind: `two_persons` who are as alike as one, or `one_person` two of whose templates are as unlike as two."""

    kind: str
    similarity: float | None
    distance: float | None
    persons: list[WhoBody]
    templates: list[str]


class DuplicatesBody(TypedDict):
    """templates: how many were compared, as of index_seq; complete: whether every pair is in the list."""

    items: list[DuplicateBody]
    threshold: float
    operating_point: PointBody
    templates: int
    index_seq: int
    complete: bool
    next_cursor: str | None


router = APIRouter(tags=["persons"])


def _object(fields: Fields) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": fields.properties(),
        "required": fields.required(),
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {body.JSON: {"schema": schema}}}}


@router.post(
    "/persons/{person_id}/merge",
    response_model=ChangedBody,
    responses=refusals("unknown_person", body=True),
    openapi_extra=_object(MERGE),
)
async def merge(request: Request, person_id: str) -> Response:
    """Two persons are one: gives everything of this one to another."""
    desk, within = desk_of(request), bound_to(request)
    asked = MERGE.from_object(await body.read_object(request, desk))
    changed = await desk.on_writes(desk.merge, person_id, asked["into"], within=within)
    return answer(changed_body(changed, within))


@router.post(
    "/persons/{person_id}/split",
    status_code=201,
    response_model=ChangedBody,
    responses=refusals("unknown_person", "unknown_template", body=True),
    openapi_extra=_object(SPLIT),
)
async def split(request: Request, person_id: str) -> Response:
    """One person is two: makes a new person of some of the templates."""
    desk, within = desk_of(request), bound_to(request)
    asked = SPLIT.from_object(await body.read_object(request, desk))
    changed = await desk.on_writes(desk.split, person_id, asked["templates"], asked["name"], within=within)
    return answer(changed_body(changed, within), 201, {"Location": f"/persons/{changed.change.person_id}"})


@router.post(
    "/persons/changes/{change_id}/undo",
    response_model=ChangedBody,
    responses=refusals("not_found", "cannot_undo", "invalid_field"),
)
async def undo(request: Request, change_id: str) -> Response:
    """Undoes a merge or a split, unless something that happened since contradicts it."""
    body.no_query(request)
    desk, within = desk_of(request), bound_to(request)
    return answer(changed_body(await desk.on_writes(desk.undo, change_id, within=within), within))


@router.get(
    "/duplicates",
    response_model=DuplicatesBody,
    responses=refusals("invalid_field", "malformed", "unknown_gallery", "unsupported_target"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def duplicates(request: Request) -> Response:
    """Lists persons who look alike, most similar first, then those whose own templates do not."""
    desk = desk_of(request)
    asked = LIST.from_texts(body.query(request))
    as_of, place = _place(asked["cursor"])
    found = await desk.on_rows(
        desk.find_duplicates,
        target_fmr=asked["target_fmr"],
        accept_extrapolated=asked["accept_extrapolated"],
        gallery=asked["gallery"],
        within=bound_to(request),
        after=place,
        as_of=as_of,
        limit=asked["limit"] + 1,
    )
    items, more = found.items[: asked["limit"]], len(found.items) > asked["limit"]
    body_: DuplicatesBody = {
        "items": [_duplicate_body(one) for one in items],
        "threshold": found.point.threshold,
        "operating_point": point_body(found.point),
        "templates": found.templates,
        "index_seq": found.index_seq,
        "complete": found.complete,
        "next_cursor": _cursor(found.index_seq, items[-1].place) if more else None,
    }
    return answer(body_)


def changed_body(changed: Changed, within: Within) -> ChangedBody:
    """What was done, and who is there now."""
    return {
        "change": change_body(changed.change),
        "persons": [person_body(one.person, shown(one.galleries, within)) for one in changed.persons],
        "index_seq": changed.index_seq,
    }


def change_body(change: IdentityChange) -> ChangeBody:
    """The change as it is shown: ids, nobody's name."""
    return {
        "id": change.id,
        "kind": change.kind,
        "person_id": change.person_id,
        "other_id": change.other_id,
        "templates": list(change.before.templates),
        "made_at": stamp(change.made_at),
        "undone_at": moment(change.undone_at),
    }


def _duplicate_body(finding: Finding) -> DuplicateBody:
    return {
        "kind": finding.kind,
        "similarity": closeness_of(finding.similarity),
        "distance": distance_of(finding.similarity),
        "persons": [who_body(one.person) for one in finding.persons],
        "templates": list(finding.templates),
    }


def _cursor(as_of: int, place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps((as_of, *place), separators=(",", ":")).encode()).decode()


def _place(cursor: str | None) -> tuple[int, Place] | tuple[None, None]:
    """The moment and the place that a cursor names. Raises InvalidField for one that was not given out."""
    if cursor is None:
        return None, None
    try:
        as_of, group, value, first, second = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        if [type(part) for part in (as_of, group, value, first, second)] != [int, int, float, str, str]:
            raise ValueError("another shape")
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise InvalidField("cursor", "Send next_cursor as the page before gave it, or leave it out.") from None
    return as_of, (group, value, first, second)
