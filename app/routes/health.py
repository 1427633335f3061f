"""/health: whether the process is alive, and whether it can answer."""

from typing import NotRequired

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.errors import NotReady, ShuttingDown
from app.routes.access import insider
from app.routes.answers import answer
from app.routes.described import problems
from app.routes.desk import Desk
from app.routes.facts import facts_of
from app.routes.problems import problem


class LiveBody(TypedDict):
    """The process answers."""

    status: str


class ReadyBody(TypedDict):
    """It can do its work; `checks` only for a valid key."""

    status: str
    checks: NotRequired[dict[str, str]]


# A worker that is there, and has nothing to do, begins within a second.
LONGEST_WAIT_S = 30.0

router = APIRouter(tags=["operations"])


@router.get("/health/live", response_model=LiveBody)
async def live(request: Request) -> Response:
    """Whether the process is alive."""
    return answer({"status": "live"})


@router.get("/health/ready", response_model=ReadyBody, responses=problems(["not_ready", "shutting_down"]))
async def ready(request: Request) -> Response:
    """Whether database, model, index and queue are all fit for work."""
    desk: Desk | None = request.app.state.desk
    phase = request.app.state.gate.phase
    checks = {"service": phase} if desk is None or phase != "ready" else await desk.on_rows(_checks, desk)
    # A standby that does not help costs time, and a render that waits keeps nobody before a door.
    fit = all(state == "ok" for name, state in checks.items() if name not in ("replicas", "style"))
    told = {"checks": checks} if await insider(request, desk) else {}
    if fit:
        return answer({"status": "ready", **told})
    error, code = (ShuttingDown, "shutting_down") if phase == "stopping" else (NotReady, "not_ready")
    headers = {"Retry-After": str(error.retry_after_s)}
    return problem(503, code, error().detail, facts_of(request).request_id, told, headers)


def _checks(desk: Desk) -> dict[str, str]:
    return {
        "database": _database(desk),
        "model": "ok" if desk.calibration.model_id == desk.reader.model_id else "its calibration is of another model",
        "index": _index(desk),
        "queue": "ok" if desk.reader.waiting() < desk.settings.inference_queue else "full",
        "style": _style(desk),
        **_replicas(desk),
    }


def _style(desk: Desk) -> str:
    try:
        queue = desk.count_style()
    except Exception as e:
        return f"cannot be read ({type(e).__name__})"
    if queue.queued >= desk.settings.style_queue:
        return "full"
    if queue.queued and queue.oldest_s > LONGEST_WAIT_S and not queue.running:
        return f"{queue.queued} wait, and nobody renders: `onelook work`, or ONELOOK_STYLE_WORKERS"
    return "ok"


def _replicas(desk: Desk) -> dict[str, str]:
    states = desk.about.replicas()
    away = "; ".join(f"{place}: {state}" for place, state in states.items() if state != "ok")
    return {"replicas": away or "ok"} if states else {}


def _database(desk: Desk) -> str:
    try:
        with desk.store.read() as uow:
            uow.changes.head()
    except Exception as e:  # whatever is wrong with it, the answer is that it is not fit
        return f"cannot be read ({type(e).__name__})"
    return "ok"


def _index(desk: Desk) -> str:
    try:
        with desk.store.read() as uow:
            head = uow.changes.head()
        reached = desk.gallery.catch_up()
    except Exception as e:
        return f"cannot follow the rows ({type(e).__name__})"
    return "ok" if reached >= head else f"at {reached} of {head}"
