"""/audit: what was done, by whom, and whether the trail is what was written."""

from typing import Any

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.domain.audit import AuditFilter, Head, Record
from app.domain.key import Key
from app.errors import InvalidField
from app.routes import body
from app.routes.access import bound_to, caller
from app.routes.answers import answer, stamp
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.kinds import text, time
from app.routes.pages import CURSOR, LIMIT, after, page

LIST = Fields(
    Field("actor", text(100), "who did it: the id of a key, `local`, `service` or `retention`"),
    Field("action", text(100), "what was done, such as face.identified"),
    Field("from", time(), "not before"),
    Field("to", time(), "before"),
    Field("person_id", text(100), "of whom it tells; somebody erased is not found"),
    LIMIT,
    CURSOR,
)
VERIFY = Fields(Field("head", text(300), "a head that was signed before, as its `token`: a trail cut since shows"))


class AuditRowBody(TypedDict):
    """One row. person_id is null where it tells of nobody, or, `shredded`, of somebody who was erased.

    similarity: null below the threshold for a key without `candidates`. change: of a merge, a split or an undo.
    """

    seq: int
    at: str
    actor: str
    action: str
    outcome: str
    gallery: str | None
    door: str | None
    facts: dict[str, Any]
    person_id: str | None
    template_id: str | None
    similarity: float | None
    change: str | None
    shredded: bool


class AuditBody(TypedDict):
    """One page of rows, newest first."""

    items: list[AuditRowBody]
    next_cursor: str | None


class HeadBody(TypedDict):
    """The last row, signed; mac, signature and public key in hexadecimal; token: all but the key, in one word."""

    seq: int
    mac: str
    signature: str
    public_key: str
    token: str


class FaultBody(TypedDict):
    """Something that is not as it was written; fault: edited, removed, reordered or cut."""

    seq: int
    fault: str
    detail: str


class VerdictBody(TypedDict):
    """What the check found: the first hundred faults, and how many there are.

    head_met: whether the row that the given head names was still there to be compared; null where none was given.
    """

    ok: bool
    from_seq: int
    to_seq: int
    rows: int
    head: HeadBody
    head_met: bool | None
    faults: list[FaultBody]
    faults_found: int


router = APIRouter(tags=["operations"])


@router.get(
    "/audit",
    response_model=AuditBody,
    responses=refusals("invalid_field"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_audit(request: Request) -> Response:
    """Lists what was done, newest first."""
    desk, key = desk_of(request), caller(request)
    asked = LIST.from_texts(body.query(request))
    which = AuditFilter(
        asked["actor"], asked["action"], asked["from"], asked["to"], asked["person_id"], bound_to(request)
    )
    found = await desk.on_rows(desk.list_audit, which, before=_before(asked["cursor"]), limit=asked["limit"] + 1)
    return answer(page(found, asked["limit"], lambda one: str(one.line.seq), lambda one: _row(one, key)))


@router.get(
    "/audit/verify",
    response_model=VerdictBody,
    responses=refusals("invalid_field"),
    openapi_extra={"parameters": VERIFY.parameters()},
)
async def verify_audit(request: Request) -> Response:
    """Goes over the whole trail; a minute for some millions of rows, and one such check at a time."""
    desk = desk_of(request)
    token = VERIFY.from_texts(body.query(request))["head"]
    verdict = await desk.checks.run(desk.verify_audit, None if token is None else _head(token))
    shown: VerdictBody = {
        "ok": verdict.ok,
        "from_seq": verdict.first,
        "to_seq": verdict.last,
        "rows": verdict.rows,
        "head": _head_body(verdict.head, await desk.on_rows(desk.sign_head.public_key)),
        "head_met": verdict.met_head,
        "faults": [{"seq": one.seq, "fault": one.fault, "detail": one.detail} for one in verdict.faults],
        "faults_found": verdict.found,
    }
    return answer(shown)


@router.get("/audit/head", response_model=HeadBody, responses=refusals("invalid_field"))
async def audit_head(request: Request) -> Response:
    """The last row, signed: keep it elsewhere, and hand it to /audit/verify one day."""
    body.no_query(request)
    desk = desk_of(request)
    head, public_key = await desk.on_rows(lambda: (desk.sign_head(), desk.sign_head.public_key()))
    return answer(_head_body(head, public_key))


def _row(record: Record, key: Key) -> AuditRowBody:
    line, facts = record.line, dict(record.line.facts)
    similarity = facts.pop("similarity", None)
    if record.person_id is not None:
        similarity = record.private.get("similarity")
    # Below the threshold there is no closeness without the scope (DESIGN, rule 5): the reason says that it was below.
    if "reason" in facts and not key.holds("candidates"):
        similarity = None
    return {
        "seq": line.seq,
        "at": stamp(line.at),
        "actor": line.actor,
        "action": line.action,
        "outcome": line.outcome,
        "gallery": line.gallery,
        "door": line.door,
        "facts": facts,
        "person_id": record.person_id,
        "template_id": record.private.get("template_id"),
        "similarity": similarity,
        "change": record.private.get("change"),
        "shredded": record.shredded,
    }


def _head_body(head: Head, public_key: bytes) -> HeadBody:
    return {
        "seq": head.seq,
        "mac": head.mac.hex(),
        "signature": head.signature.hex(),
        "public_key": public_key.hex(),
        "token": head.token,
    }


def _before(cursor: str | None) -> int | None:
    seq = after(cursor)
    if seq is not None and not (seq.isdecimal() and len(seq) < 19):
        raise InvalidField("cursor", "Send next_cursor as the page before gave it, or leave it out.")
    return None if seq is None else int(seq)


def _head(token: str) -> Head:
    try:
        return Head.from_token(token)
    except ValueError:
        raise InvalidField("head", "Send the `token` of a head, as /audit/head gave it.") from None
