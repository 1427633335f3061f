"""POST /enroll: a photo and a name make a person."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.enroll import Enrolled, Enrolment
from app.domain.gallery import shown
from app.domain.key import Key
from app.domain.particulars import LONGEST_NAME, LONGEST_TEXT, MOST_GROUPS
from app.errors import Lookalike
from app.ports import UnitOfWork
from app.routes.access import caller
from app.routes.answers import (
    FaceBody,
    LookalikeBody,
    PersonBody,
    TemplateBody,
    answer,
    closeness_of,
    face_body,
    person_body,
    template_body,
)
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field
from app.routes.image_body import ImageForm
from app.routes.kinds import choice, flag, json_object, text, texts, time
from app.routes.once import PARAMETER, Answered, Keep, once

ON_DUPLICATE = Field(
    "on_duplicate", choice("reject", "allow"), "what to do when somebody else looks like this", default="reject"
)
FORM = ImageForm(
    Field("name", text(LONGEST_NAME), "1 to 200 characters", required=True),
    Field("person_id", text(100), "an id of your choosing for a new person"),
    Field("external_id", text(LONGEST_NAME), "the person's id elsewhere"),
    Field("galleries", texts(), "galleries to be in; `all` holds everybody", default=()),
    Field("metadata", json_object(), "a JSON object of at most 4 KiB", default={}),
    Field("groups", texts(MOST_GROUPS), "names of groups", default=()),
    Field("consent", text(LONGEST_TEXT), "the basis on which the face is held"),
    Field("valid_from", time(), "not recognized before"),
    Field("valid_until", time(), "not recognized from then on"),
    ON_DUPLICATE,
    Field("dry_run", flag(), "only say what would happen", default=False),
)


class EnrollBody(TypedDict):
    """What was stored, or after a dry run what would be: then `template` is null, and `dry_run` true."""

    person: PersonBody
    template: TemplateBody | None
    face: FaceBody
    duplicates: list[LookalikeBody]
    index_seq: int
    dry_run: bool


router = APIRouter(tags=["faces"])
_REFUSALS = (
    "no_face",
    "several_faces",
    "poor_quality",
    "duplicate_person",
    "person_exists",
    "unknown_gallery",
    "idempotency_conflict",
    "in_progress",
)


@router.post(
    "/enroll",
    status_code=201,
    response_model=EnrollBody,
    responses={200: {"model": EnrollBody, "description": "A dry run"}, **refusals(*_REFUSALS, image=True)},
    openapi_extra=FORM.openapi(PARAMETER),
)
async def enroll(request: Request) -> Response:
    """Enrols one person from one picture."""
    desk, key = desk_of(request), caller(request)
    sent = await FORM.read(request, desk)

    async def work(keep: Keep) -> Answered:
        def also(uow: UnitOfWork, enrolled: Enrolled) -> None:
            keep(uow, _answer(enrolled, key), [enrolled.person.id, *_alike(enrolled)])

        enrolment = Enrolment(**sent.fields)
        enrolled = await desk.on_pictures(desk.enroll, sent.images["image"], enrolment, within=key.galleries, also=also)
        return Answered(_answer(enrolled, key), _alike(enrolled), to_be=[enrolled.person.id])

    return await once(request, desk, sent, work)


def _answer(enrolled: Enrolled, key: Key) -> Response:
    template = enrolled.template
    body: EnrollBody = {
        "person": person_body(enrolled.person, shown(enrolled.galleries, key.galleries)),
        "template": None if template is None else template_body(template),
        "face": face_body(enrolled.face),
        "duplicates": lookalikes_body(enrolled.duplicates, key),
        "index_seq": enrolled.index_seq,
        "dry_run": template is None,
    }
    if template is None:
        return answer(body)
    return answer(body, 201, {"Location": f"/persons/{enrolled.person.id}"})


def _alike(enrolled: Enrolled) -> list[str]:
    return [one.person_id for one in enrolled.duplicates]


def lookalikes_body(lookalikes: Sequence[Lookalike], key: Key) -> list[LookalikeBody]:
    """Who they are, for a key that may recognize people; none for any other."""
    if not key.holds("identify"):
        return []
    return [
        {"person_id": one.person_id, "name": one.name, "similarity": closeness_of(one.similarity) or 0.0}
        for one in lookalikes
    ]
