"""GET /info: what runs here."""

from typing import Any

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.routes import body
from app.routes.access import bound_to
from app.routes.answers import answer
from app.routes.described import refusals
from app.routes.desk import desk_of

MOST_GALLERIES = 500


class SizeBody(TypedDict):
    """What a gallery holds."""

    id: str
    persons: int
    templates: int


class StyleQueueBody(TypedDict):
    """Renders that wait and that are worked on; workers: processes that this service keeps for them."""

    workers: int
    queued: int
    running: int
    oldest_queued_s: float


class InfoBody(TypedDict):
    """model_id: digest of weights and preprocessing; terms: of the weights; why: how the precision was chosen.

    All of it of the model that is served. wanted_model_id: the one that the settings make; next_model_id: the one that
    a re-embedding prepares, or null; model_note: what is to be done where the wanted one is not served, or null.
    """

    version: str
    model_id: str
    model: str
    wanted_model_id: str
    next_model_id: str | None
    model_note: str | None
    terms: str
    device: str
    precision: str
    precision_why: str
    flip_averaging: bool
    lanes: int
    batch_faces: int
    search: str
    vectors_in_clear: bool
    keep_crops: bool
    galleries: list[SizeBody]
    style: StyleQueueBody
    index_seq: int
    limits: dict[str, Any]


router = APIRouter(tags=["operations"])


@router.get("/info", response_model=InfoBody, responses=refusals("invalid_field"))
async def info(request: Request) -> Response:
    """Version, model, device, search engine, sizes and limits."""
    body.no_query(request)
    desk = desk_of(request)
    seq = await desk.on_rows(desk.gallery.catch_up)
    listed = await desk.on_rows(desk.list_galleries, within=bound_to(request), after=None, limit=MOST_GALLERIES)
    galleries: list[SizeBody] = [{"id": g.id, "persons": g.persons, "templates": g.templates} for g in listed]
    renders = await desk.on_rows(desk.count_style)
    about, settings, wanted = desk.about, desk.settings, desk.wanted_model_id
    networks, served = about.networks(), desk.gallery.served
    # Told by the first of several processes, as long as its model is served.
    as_told = networks is None or networks.precision == about.precision
    shown: InfoBody = {
        "version": about.version,
        "model_id": served.model_id,
        "model": settings.model if networks is None else networks.model,
        "wanted_model_id": wanted,
        "next_model_id": served.next_id,
        "model_note": None
        if wanted == served.model_id
        else f"{wanted} is wanted, and {served.model_id} is served until re-embedding: POST /reembeddings",
        "terms": about.terms if networks is None else networks.terms,
        "device": about.device,
        "precision": about.precision if networks is None else networks.precision,
        "precision_why": about.precision_why if as_told or networks is None else networks.why,
        "flip_averaging": settings.flip_averaging if networks is None else networks.flip_averaging,
        "lanes": about.lanes,
        "batch_faces": about.batch_faces,
        "search": about.search if isinstance(about.search, str) else about.search(),
        "vectors_in_clear": about.vectors_in_clear,
        "keep_crops": settings.keep_crops,
        "galleries": galleries,
        "style": {
            "workers": settings.style_workers,
            "queued": renders.queued,
            "running": renders.running,
            "oldest_queued_s": round(renders.oldest_s, 1),
        },
        "index_seq": seq,
        "limits": {
            "max_body_bytes": settings.max_body_bytes,
            "max_batch_bytes": settings.max_batch_bytes,
            "max_batch_items": settings.max_batch_items,
            "max_style_body_bytes": settings.max_style_body_bytes,
            "style_queue": settings.style_queue,
            "max_image_bytes": settings.max_image_bytes,
            "max_image_pixels": settings.max_image_pixels,
            "body_timeout_s": settings.body_timeout_s,
            "inference_queue": settings.inference_queue,
            "min_enroll_quality": settings.min_enroll_quality,
        },
    }
    return answer(shown)
