"""/persons/{id}/templates: the enrolled looks of a person."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.add_template import TemplateAdded
from app.actions.authenticate import demand
from app.domain.key import Key
from app.domain.person import Template
from app.ports import UnitOfWork
from app.routes import body
from app.routes.access import bound_to, caller
from app.routes.answers import FaceBody, LookalikeBody, TemplateBody, answer, face_body, template_body
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.enroll import ON_DUPLICATE, lookalikes_body
from app.routes.fields import Field, Fields
from app.routes.image_body import ImageForm
from app.routes.kinds import flag
from app.routes.once import PARAMETER, Answered, Keep, once
from app.routes.pages import CURSOR, LIMIT, after, page

LIST = Fields(LIMIT, CURSOR)
FORM = ImageForm(
    ON_DUPLICATE,
    Field("override", flag(), "store it whomever it looks like; needs the scope `admin`", default=False),
)


class TemplatesBody(TypedDict):
    """One page of templates, oldest first."""

    items: list[TemplateBody]
    next_cursor: str | None


class TemplateAddedBody(TypedDict):
    """The template that was stored."""

    person_id: str
    template: TemplateBody
    face: FaceBody
    duplicates: list[LookalikeBody]
    index_seq: int


class TemplateRemovedBody(TypedDict):
    """The template that is no more."""

    person_id: str
    template_id: str
    index_seq: int


router = APIRouter(tags=["persons"])
_REFUSALS = ("unknown_person", "no_face", "several_faces", "poor_quality", "not_same_person", "duplicate_person")
_REPEATS = ("idempotency_conflict", "in_progress")


@router.get(
    "/persons/{person_id}/templates",
    response_model=TemplatesBody,
    responses=refusals("unknown_person", "invalid_field"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_templates(request: Request, person_id: str) -> Response:
    """Lists a person's templates, oldest first."""
    desk = desk_of(request)
    asked = LIST.from_texts(body.query(request))
    behind = after(asked["cursor"])
    found = list(await desk.on_rows(desk.list_templates, person_id, within=bound_to(request)))
    if behind is not None:
        ids = [template.id for template in found]
        found = found[ids.index(behind) + 1 :] if behind in ids else []
    return answer(page(found, asked["limit"], _id, template_body))


@router.post(
    "/persons/{person_id}/templates",
    status_code=201,
    response_model=TemplateAddedBody,
    responses=refusals(*_REFUSALS, *_REPEATS, image=True),
    openapi_extra=FORM.openapi(PARAMETER),
)
async def add_template(request: Request, person_id: str) -> Response:
    """Adds one more look at a person."""
    desk, key = desk_of(request), caller(request)
    sent = await FORM.read(request, desk)
    if sent.fields["override"]:
        demand(key, "admin")

    async def work(keep: Keep) -> Answered:
        def also(uow: UnitOfWork, added: TemplateAdded) -> None:
            keep(uow, _answer(added, key), _named(added))

        added = await desk.on_pictures(
            desk.add_template, sent.images["image"], person_id, **sent.fields, within=key.galleries, also=also
        )
        return Answered(_answer(added, key), _named(added))

    return await once(request, desk, sent, work)


def _named(added: TemplateAdded) -> list[str]:
    return [added.person.id, *(one.person_id for one in added.duplicates)]


def _answer(added: TemplateAdded, key: Key) -> Response:
    shown: TemplateAddedBody = {
        "person_id": added.person.id,
        "template": template_body(added.template),
        "face": face_body(added.face),
        "duplicates": lookalikes_body(added.duplicates, key),
        "index_seq": added.index_seq,
    }
    return answer(shown, 201, {"Location": f"/persons/{added.person.id}/templates"})


@router.delete(
    "/persons/{person_id}/templates/{template_id}",
    response_model=TemplateRemovedBody,
    responses=refusals("unknown_person", "unknown_template", "invalid_field"),
)
async def remove_template(request: Request, person_id: str, template_id: str) -> Response:
    """Forgets one look at a person."""
    body.no_query(request)
    desk = desk_of(request)
    seq = await desk.on_writes(desk.remove_template, person_id, template_id, within=bound_to(request))
    shown: TemplateRemovedBody = {"person_id": person_id, "template_id": template_id, "index_seq": seq}
    return answer(shown)


def _id(template: Template) -> str:
    return template.id
