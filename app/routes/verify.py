"""POST /verify: 1:1."""

from typing import NotRequired

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.verify import Asked, Verified
from app.domain.decision import Match
from app.domain.key import Key
from app.errors import InvalidField
from app.routes.access import bound_to, caller
from app.routes.answers import (
    FaceBody,
    PointBody,
    TimingsBody,
    answer,
    closeness_of,
    distance_of,
    face_body,
    point_body,
    probability_of,
    timings_body,
)
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.facts import facts_of
from app.routes.fields import Field
from app.routes.image_body import ImageForm
from app.routes.kinds import choice, flag, share, text

ACCEPT_EXTRAPOLATED = Field("accept_extrapolated", flag(), "a target beyond the measured ones will do", default=False)
MIN_QUALITY = Field("min_quality", share(), "least quality of the face; below it the answer is no")
FORM = ImageForm(
    Field("person_id", text(100), "the claimed identity; or send image2"),
    Field("target_fmr", share(above_zero=True), "false match rate; none: the tightest that was measured"),
    ACCEPT_EXTRAPOLATED,
    MIN_QUALITY,
    Field("faces", choice("single", "largest"), "what to do with several faces", default="single"),
    also=("image2",),
)


class VerifyBody(TypedDict):
    """The decision; similarity, distance and probability are null below the threshold without `candidates`.

    probability: that both are one person, where half of all comparisons are rightful; null until that is calibrated.
    """

    decision: str
    similarity: float | None
    distance: float | None
    probability: float | None
    threshold: float
    operating_point: PointBody
    person_id: str | None
    template_id: str | None
    face: FaceBody
    face2: NotRequired[FaceBody]
    reason: str | None
    index_seq: int
    timings_ms: TimingsBody


router = APIRouter(tags=["faces"])


@router.post(
    "/verify",
    response_model=VerifyBody,
    responses=refusals("no_face", "several_faces", "unknown_person", "unsupported_target", image=True),
    openapi_extra=FORM.openapi(),
)
async def verify(request: Request) -> Response:
    """Says whether a face is the claimed person's, or the one in another picture."""
    desk = desk_of(request)
    sent = await FORM.read(request, desk)
    person_id, other = sent.fields.pop("person_id"), sent.images.get("image2")
    asked = Asked(**sent.fields)
    if (person_id is None) == (other is None):
        raise InvalidField("person_id", "Send either person_id or image2, and not both.")
    if other is not None:
        verified = await desk.on_pictures(desk.verify_pair, sent.images["image"], other, asked)
    else:
        verified = await desk.on_pictures(
            desk.verify_person, sent.images["image"], person_id, asked, within=bound_to(request)
        )
    body = _body(verified, caller(request))
    facts = facts_of(request)
    facts.decisions.append(body["decision"])
    facts.timings = verified.timings
    return answer(body)


def _body(verified: Verified, key: Key) -> VerifyBody:
    found = verified.answer
    matched = isinstance(found, Match)
    shown = found.similarity if matched or key.holds("candidates") else None
    body: VerifyBody = {
        "decision": "match" if matched else "no_match",
        "similarity": closeness_of(shown),
        "distance": distance_of(shown),
        "probability": None if shown is None else probability_of(verified.probability),
        "threshold": verified.point.threshold,
        "operating_point": point_body(verified.point),
        "person_id": verified.person_id,
        "template_id": found.template_id if isinstance(found, Match) else None,
        "face": face_body(verified.faces[0]),
        "reason": None if isinstance(found, Match) else found.reason,
        "index_seq": verified.index_seq,
        "timings_ms": timings_body(verified.timings),
    }
    if len(verified.faces) > 1:
        body["face2"] = face_body(verified.faces[1])
    return body
