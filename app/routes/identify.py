"""POST /identify: 1:K."""

from typing import NotRequired

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.authenticate import demand
from app.actions.identify import Answer, Identified, Question
from app.domain.decision import Recognized
from app.domain.key import Key
from app.domain.person import Person
from app.routes.access import caller
from app.routes.answers import (
    FaceBody,
    PointBody,
    TimingsBody,
    WhoBody,
    answer,
    closeness_of,
    distance_of,
    face_body,
    point_body,
    probability_of,
    timings_body,
    who_body,
)
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.facts import facts_of
from app.routes.fields import Field
from app.routes.image_body import ImageForm
from app.routes.kinds import choice, share, text, whole
from app.routes.verify import ACCEPT_EXTRAPOLATED, MIN_QUALITY

DEFAULT_CANDIDATES = 5
FORM = ImageForm(
    Field("gallery", text(100), "whom to look among", default="all"),
    Field("target_fpir", share(above_zero=True), "false positive identification rate; none: the tightest measured"),
    ACCEPT_EXTRAPOLATED,
    MIN_QUALITY,
    Field("faces", choice("largest", "single", "all"), "what to do with several faces", default="largest"),
    Field("top_k", whole(1, 20), "candidates to list; needs the scope `candidates`"),
)


class CandidateBody(TypedDict):
    """One of the closest persons."""

    person: WhoBody
    similarity: float | None
    rank: int


class GalleryBody(TypedDict):
    """Whom was looked among."""

    id: str
    persons: int
    templates: int


class ResultBody(TypedDict):
    """One face's answer; nobody is named, and no closeness shown, unless recognized or for a key with `candidates`.

    margin: how much closer than the second person; null without `candidates`, for it tells how close a rival is.
    probability: that the person named is the right one, where half of the searches are by somebody enrolled, each as
    often as any other; null where nobody is named, and until that is calibrated.
    """

    decision: str
    person: WhoBody | None
    similarity: float | None
    distance: float | None
    probability: float | None
    threshold: float
    margin: float | None
    candidates: list[CandidateBody]
    face: FaceBody
    reason: str | None


class IdentifyBody(ResultBody):
    """The main face's answer, and what it stands on; with faces=all every face's answer in `results`."""

    operating_point: PointBody
    gallery: GalleryBody
    index_seq: int
    timings_ms: TimingsBody
    results: NotRequired[list[ResultBody]]


router = APIRouter(tags=["faces"])


@router.post(
    "/identify",
    response_model=IdentifyBody,
    responses=refusals("no_face", "several_faces", "unknown_gallery", "unsupported_target", image=True),
    openapi_extra=FORM.openapi(),
)
async def identify(request: Request) -> Response:
    """Says who a face is, or that it is nobody who is enrolled."""
    desk, key = desk_of(request), caller(request)
    sent = await FORM.read(request, desk)
    fields = sent.fields
    if fields["top_k"] is not None:
        demand(key, "candidates")
    else:
        fields["top_k"] = DEFAULT_CANDIDATES if key.holds("candidates") else 0
    question = Question(**fields)
    found = await desk.on_pictures(desk.identify, sent.images["image"], question, within=key.galleries)
    results = [_result(one, found.point.threshold, key) for one in found.answers]
    facts = facts_of(request)
    facts.decisions.extend(result["decision"] for result in results)
    facts.timings = found.timings
    body = _body(results, found)
    if question.faces == "all":
        body["results"] = results
    return answer(body)


def _body(results: list[ResultBody], found: Identified) -> IdentifyBody:
    main = results[0]
    return {
        "decision": main["decision"],
        "person": main["person"],
        "similarity": main["similarity"],
        "distance": main["distance"],
        "probability": main["probability"],
        "threshold": main["threshold"],
        "margin": main["margin"],
        "candidates": main["candidates"],
        "face": main["face"],
        "reason": main["reason"],
        "operating_point": point_body(found.point),
        "gallery": {"id": found.gallery, "persons": found.persons, "templates": found.templates},
        "index_seq": found.index_seq,
        "timings_ms": timings_body(found.timings),
    }


def _result(one: Answer, threshold: float, key: Key) -> ResultBody:
    found = one.decision
    person: Person | None
    similarity: float | None
    reason: str | None
    if isinstance(found, Recognized):
        person, reason = found.candidate.person, None
        similarity, margin = found.candidate.similarity, found.margin
        if not key.holds("candidates"):
            # The person's own closeness less the margin is the rival's.
            margin = None
    else:
        person, reason = None, found.reason
        similarity, margin = found.best, found.margin
        if not key.holds("candidates"):
            # Below the threshold nobody has a name, and without the scope no closeness either.
            similarity = margin = None
    return {
        "decision": "not_recognized" if person is None else "recognized",
        "person": None if person is None else who_body(person),
        "similarity": closeness_of(similarity),
        "distance": distance_of(similarity),
        "probability": probability_of(one.probability),
        "threshold": threshold,
        "margin": closeness_of(margin),
        "candidates": [
            {"person": who_body(c.person), "similarity": closeness_of(c.similarity), "rank": rank}
            for rank, c in enumerate(one.candidates, 1)
        ],
        "face": face_body(one.face),
        "reason": reason,
    }
