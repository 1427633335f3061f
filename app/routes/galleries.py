"""/galleries: named sets of persons."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.galleries import GallerySize
from app.domain.particulars import LONGEST_NAME
from app.routes import body
from app.routes.access import bound_to
from app.routes.answers import PointBody, answer, moment, point_body
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.kinds import text
from app.routes.pages import CURSOR, LIMIT, after, page

LIST = Fields(LIMIT, CURSOR)
MAKE = Fields(
    Field("name", text(LONGEST_NAME), "what the gallery is called", required=True),
    Field("id", text(100), "an id of your choosing"),
)
_SCHEMA = {
    "schema": {
        "type": "object",
        "properties": MAKE.properties(),
        "required": MAKE.required(),
        "additionalProperties": False,
    }
}


class GalleryBody(TypedDict):
    """A gallery; threshold and operating_point: what an identification in it goes by, at the size it has now."""

    id: str
    name: str
    created_at: str | None
    persons: int
    templates: int
    threshold: float
    operating_point: PointBody


class GalleriesBody(TypedDict):
    """One page of galleries."""

    items: list[GalleryBody]
    next_cursor: str | None


class GalleryRemovedBody(TypedDict):
    """The gallery that is no more; members: how many it had, who are all still enrolled."""

    id: str
    members: int


class MembershipBody(TypedDict):
    """Whether that person is in that gallery now."""

    gallery: str
    person_id: str
    member: bool
    index_seq: int


router = APIRouter(tags=["galleries"])


@router.post(
    "/galleries",
    status_code=201,
    response_model=GalleryBody,
    responses=refusals("gallery_exists", body=True),
    openapi_extra={"requestBody": {"required": True, "content": {body.JSON: _SCHEMA}}},
)
async def make_gallery(request: Request) -> Response:
    """Makes an empty gallery."""
    desk = desk_of(request)
    asked = MAKE.from_object(await body.read_object(request, desk))
    made = await desk.on_writes(desk.make_gallery, asked["name"], asked["id"], within=bound_to(request))
    size = desk.list_galleries.empty(made)
    return answer(gallery_body(size), 201, {"Location": f"/galleries/{made.id}"})


@router.get(
    "/galleries",
    response_model=GalleriesBody,
    responses=refusals("invalid_field", "malformed"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_galleries(request: Request) -> Response:
    """Lists galleries in order of id, `all` first."""
    desk = desk_of(request)
    asked = LIST.from_texts(body.query(request))
    found = await desk.on_rows(
        desk.list_galleries, within=bound_to(request), after=after(asked["cursor"]), limit=asked["limit"] + 1
    )
    return answer(page(found, asked["limit"], _id, gallery_body))


@router.get(
    "/galleries/{gallery_id}", response_model=GalleryBody, responses=refusals("unknown_gallery", "invalid_field")
)
async def get_gallery(request: Request, gallery_id: str) -> Response:
    """One gallery, with its size and threshold."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(gallery_body(await desk.on_rows(desk.list_galleries.one, gallery_id, within=bound_to(request))))


@router.delete(
    "/galleries/{gallery_id}",
    response_model=GalleryRemovedBody,
    responses=refusals("unknown_gallery", "invalid_field"),
)
async def remove_gallery(request: Request, gallery_id: str) -> Response:
    """Removes a gallery. Nobody in it is erased."""
    body.no_query(request)
    desk = desk_of(request)
    left = await desk.on_writes(desk.remove_gallery, gallery_id, within=bound_to(request))
    shown: GalleryRemovedBody = {"id": gallery_id, "members": left}
    return answer(shown)


@router.put(
    "/galleries/{gallery_id}/members/{person_id}",
    response_model=MembershipBody,
    responses=refusals("unknown_gallery", "unknown_person", "invalid_field"),
)
async def join(request: Request, gallery_id: str, person_id: str) -> Response:
    """Puts a person into a gallery; again: the same."""
    return await _change(request, gallery_id, person_id, member=True)


@router.delete(
    "/galleries/{gallery_id}/members/{person_id}",
    response_model=MembershipBody,
    responses=refusals("unknown_gallery", "unknown_person", "invalid_field"),
)
async def leave(request: Request, gallery_id: str, person_id: str) -> Response:
    """Takes a person out of a gallery, who stays enrolled; again: the same."""
    return await _change(request, gallery_id, person_id, member=False)


def gallery_body(size: GallerySize) -> GalleryBody:
    """The gallery as it is shown."""
    named = size.named
    return {
        "id": size.id,
        "name": "Everybody" if named is None else named.name,
        "created_at": None if named is None else moment(named.created_at),
        "persons": size.persons,
        "templates": size.templates,
        "threshold": size.point.threshold,
        "operating_point": point_body(size.point),
    }


async def _change(request: Request, gallery_id: str, person_id: str, *, member: bool) -> Response:
    body.no_query(request)
    desk = desk_of(request)
    seq = await desk.on_writes(desk.change_membership, gallery_id, person_id, member=member, within=bound_to(request))
    shown: MembershipBody = {"gallery": gallery_id, "person_id": person_id, "member": member, "index_seq": seq}
    return answer(shown)


def _id(size: GallerySize) -> str:
    return size.id
