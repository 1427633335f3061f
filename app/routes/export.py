"""GET /persons/{id}/export: everything that is held of a person."""

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.authenticate import demand
from app.domain.audit import Record
from app.domain.batch import BatchItem
from app.domain.face import Crop
from app.domain.gallery import Within, shown
from app.domain.identity import IdentityChange
from app.domain.person import Template
from app.routes import body
from app.routes.access import caller
from app.routes.answers import PersonBody, QualityBody, answer, moment, person_body, quality_body, stamp
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.identities import ChangeBody, change_body
from app.routes.kinds import flag
from models.image import as_png

ASKED = Fields(Field("embeddings", flag(), "the numbers too; needs the scope `admin`", default=False))


class HeldTemplateBody(TypedDict):
    """One enrolled look; embedding: 128 numbers of unit length, or null where they were not asked for.

    crop: the aligned face that is kept, as PNG in base64, or null where none is kept.
    """

    id: str
    model_id: str
    quality: QualityBody
    created_at: str
    embedding: list[float] | None
    crop: str | None


class HeldChangeBody(ChangeBody):
    """before: the person whom a merge took away, as it was, or whom a split made, as it was made."""

    before: PersonBody


class HeldAuditBody(TypedDict):
    """One row of the audit trail that is of this person; private: what is sealed under the person's key."""

    seq: int
    at: str
    actor: str
    action: str
    outcome: str
    gallery: str | None
    door: str | None
    facts: dict[str, Any]
    private: dict[str, Any]


class HeldItemBody(TypedDict):
    """One photo of a batch that was enrolled as this person, or refused because it looks like this person."""

    batch: str
    number: int
    source: str
    status: str
    template_id: str | None
    code: str | None


class ExportBody(TypedDict):
    """also_known_as: ids of persons who were merged into this one. photos: kept crops; no whole photo is kept.

    idempotency_records: how many answers that name the person are kept, for 24 h, to be given again.
    """

    person: PersonBody
    also_known_as: list[str]
    templates: list[HeldTemplateBody]
    identity_changes: list[HeldChangeBody]
    last_recognized_at: str | None
    audit: list[HeldAuditBody]
    batch_items: list[HeldItemBody]
    idempotency_records: int
    photos: int


router = APIRouter(tags=["persons"])


@router.get(
    "/persons/{person_id}/export",
    response_model=ExportBody,
    responses=refusals("unknown_person", "invalid_field"),
    openapi_extra={"parameters": ASKED.parameters()},
)
async def export(request: Request, person_id: str) -> Response:
    """Answers a subject's access request: everything that is held of a person."""
    desk, key = desk_of(request), caller(request)
    asked = ASKED.from_texts(body.query(request))
    if asked["embeddings"]:
        demand(key, "admin")
    held = await desk.on_writes(desk.export, person_id, within=key.galleries)
    shown_: ExportBody = {
        "person": person_body(held.placed.person, shown(held.placed.galleries, key.galleries)),
        "also_known_as": list(held.absorbed),
        "templates": [
            _template_body(one, held.crops.get(one.id), with_numbers=asked["embeddings"]) for one in held.templates
        ],
        "identity_changes": [_change_body(change, key.galleries) for change in held.changes],
        "last_recognized_at": moment(held.seen_at),
        "audit": [_audit_body(record) for record in held.audit],
        "batch_items": [_item_body(batch, item) for batch, item in held.batch_items],
        "idempotency_records": held.records,
        "photos": len(held.crops),
    }
    return answer(shown_, 200, {"Cache-Control": "no-store"})


def _template_body(template: Template, crop: Crop | None, *, with_numbers: bool) -> HeldTemplateBody:
    return {
        "id": template.id,
        "model_id": template.model_id,
        "quality": quality_body(template.quality),
        "created_at": stamp(template.created_at),
        "embedding": [float(x) for x in template.vector] if with_numbers else None,
        "crop": None if crop is None else base64.b64encode(as_png(crop)).decode(),
    }


def _change_body(change: IdentityChange, within: Within) -> HeldChangeBody:
    before = person_body(change.before.person, shown(tuple(change.before.galleries), within))
    return {**change_body(change), "before": before}


def _audit_body(record: Record) -> HeldAuditBody:
    line = record.line
    return {
        "seq": line.seq,
        "at": stamp(line.at),
        "actor": line.actor,
        "action": line.action,
        "outcome": line.outcome,
        "gallery": line.gallery,
        "door": line.door,
        "facts": dict(line.facts),
        "private": dict(record.private),
    }


def _item_body(batch: str, item: BatchItem) -> HeldItemBody:
    return {
        "batch": batch,
        "number": item.number,
        "source": item.source,
        "status": item.status,
        "template_id": item.template_id,
        "code": item.code,
    }
