"""/persons: who is enrolled."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.people import Placed
from app.domain.gallery import Within, shown
from app.domain.particulars import LONGEST_NAME, LONGEST_TEXT, MOST_GROUPS
from app.errors import Stale
from app.routes import body
from app.routes.access import bound_to
from app.routes.answers import PersonBody, answer, etag, person_body
from app.routes.described import Responses, refusals
from app.routes.desk import desk_of
from app.routes.erasures import ReceiptBody, receipt_body
from app.routes.fields import Field, Fields
from app.routes.kinds import flag, json_object, text, texts, time
from app.routes.pages import CURSOR, LIMIT, after, page
from app.routes.problems import IfMatchRequired

LIST = Fields(
    Field("name", text(LONGEST_NAME), "part of the name, whatever its case"),
    Field("gallery", text(100), "only who is in it"),
    Field("external_id", text(LONGEST_NAME), "exactly that external_id"),
    LIMIT,
    CURSOR,
)
CHANGE = Fields(
    Field("name", text(LONGEST_NAME), "1 to 200 characters"),
    Field("external_id", text(LONGEST_NAME), "the person's id elsewhere", nullable=True),
    Field("metadata", json_object(), "a JSON object of at most 4 KiB; replaces the whole of it"),
    Field("groups", texts(MOST_GROUPS), "names of groups; replaces all of them"),
    Field("consent", text(LONGEST_TEXT), "the basis on which the face is held", nullable=True),
    Field("active", flag(), "false: never recognized"),
    Field("face_opt_out", flag(), "true: never compared with any face"),
    Field("valid_from", time(), "not recognized before", nullable=True),
    Field("valid_until", time(), "not recognized from then on", nullable=True),
)
MERGE_PATCH = "application/merge-patch+json"
_CHANGE_SCHEMA = {"schema": {"type": "object", "properties": CHANGE.properties(), "additionalProperties": False}}
_IF_MATCH = {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}}
_ETAG: Responses = {200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "for If-Match"}}}}


class PersonsBody(TypedDict):
    """One page of persons."""

    items: list[PersonBody]
    next_cursor: str | None


router = APIRouter(tags=["persons"])


@router.get(
    "/persons",
    response_model=PersonsBody,
    responses=refusals("invalid_field", "malformed", "unknown_gallery"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_persons(request: Request) -> Response:
    """Lists persons in order of id."""
    desk = desk_of(request)
    asked = LIST.from_texts(body.query(request))
    within = bound_to(request)
    found = await desk.on_rows(
        desk.list_people,
        name=asked["name"],
        external_id=asked["external_id"],
        gallery=asked["gallery"],
        within=within,
        after=after(asked["cursor"]),
        limit=asked["limit"] + 1,
    )
    return answer(page(found, asked["limit"], _id, lambda one: _shown(one, within)))


@router.get(
    "/persons/{person_id}",
    response_model=PersonBody,
    responses={**_ETAG, **refusals("unknown_person", "invalid_field")},
)
async def get_person(request: Request, person_id: str) -> Response:
    """One person, with an ETag for changing it."""
    body.no_query(request)
    desk, within = desk_of(request), bound_to(request)
    return _tagged(await desk.on_rows(desk.find_person, person_id, within=within), within)


@router.patch(
    "/persons/{person_id}",
    response_model=PersonBody,
    responses={**_ETAG, **refusals("unknown_person", "stale", "if_match_required", body=True)},
    openapi_extra={
        "parameters": [_IF_MATCH],
        "requestBody": {"required": True, "content": {body.JSON: _CHANGE_SCHEMA, MERGE_PATCH: _CHANGE_SCHEMA}},
    },
)
async def change_person(request: Request, person_id: str) -> Response:
    """Changes the fields that are sent; null clears one that need not be there."""
    desk, within = desk_of(request), bound_to(request)
    if_match = request.headers.get("if-match")
    if if_match is None:
        raise IfMatchRequired
    changes = CHANGE.changes(await body.read_object(request, desk, MERGE_PATCH))
    changed = await desk.on_writes(desk.change_person, person_id, changes, _revision(if_match), within=within)
    return _tagged(changed, within)


@router.delete(
    "/persons/{person_id}", response_model=ReceiptBody, responses=refusals("unknown_person", "invalid_field")
)
async def erase_person(request: Request, person_id: str) -> Response:
    """Erases a person for good, and proves it."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(receipt_body(await desk.on_writes(desk.erase, person_id, within=bound_to(request))))


def _tagged(found: Placed, within: Within) -> Response:
    return answer(_shown(found, within), 200, {"ETag": etag(found.person)})


def _shown(found: Placed, within: Within) -> PersonBody:
    return person_body(found.person, shown(found.galleries, within))


def _id(found: Placed) -> str:
    return found.person.id


def _revision(if_match: str) -> int | None:
    """The revision that a strong entity tag names; None for `*`, which fits whatever is there. Raises Stale."""
    if if_match.strip() == "*":
        return None
    tag = if_match.strip().removeprefix('"').removesuffix('"')
    if if_match.strip() != f'"{tag}"' or not tag.isascii() or not tag.isdecimal() or len(tag) > 18:
        raise Stale("If-Match must hold the ETag that GET gave, with its quotes.")
    return int(tag)
