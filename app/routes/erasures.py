"""GET /erasures/{id}: what an erasure removed."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.domain.person import Receipt
from app.routes import body
from app.routes.access import bound_to
from app.routes.answers import answer, stamp
from app.routes.described import refusals
from app.routes.desk import desk_of


class ProofBody(TypedDict):
    """search_missed: the person's own vectors find nobody any more; null when that search could not run."""

    search_missed: bool | None
    audit_seq: int | None


class ReceiptBody(TypedDict):
    """What was removed, each with its count."""

    id: str
    person_id: str
    erased_at: str
    removed: dict[str, int]
    index_seq: int
    proof: ProofBody


router = APIRouter(tags=["persons"])


@router.get("/erasures/{erasure_id}", response_model=ReceiptBody, responses=refusals("not_found", "invalid_field"))
async def get_receipt(request: Request, erasure_id: str) -> Response:
    """The receipt again, by its own id or by the person's."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(receipt_body(await desk.on_rows(desk.find_receipt, erasure_id, within=bound_to(request))))


def receipt_body(receipt: Receipt) -> ReceiptBody:
    """The receipt as it is shown."""
    return {
        "id": receipt.id,
        "person_id": receipt.person_id,
        "erased_at": stamp(receipt.erased_at),
        "removed": dict(receipt.removed),
        "index_seq": receipt.index_seq,
        "proof": {"search_missed": receipt.search_missed, "audit_seq": receipt.audit_seq},
    }
