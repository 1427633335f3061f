"""Which key may call which route: the one table, and the check before every route."""

from typing import Final

from starlette.requests import Request

from app.actions.authenticate import demand
from app.domain.key import Key
from app.errors import NoKey
from app.routes.desk import Desk, desk_of
from app.routes.facts import facts_of
from app.routes.problems import NotAcceptable

PUBLIC: Final = "public"
ANY_KEY: Final = "any key"
METRICS: Final = "admin or an allowed address"

# docs/http.md holds the same table for people; a test compares them.
TABLE = {
    "POST /detect": "detect",
    "POST /enroll": "enroll",
    "POST /verify": "verify",
    "POST /identify": "identify",
    "GET /persons": "persons:read",
    "GET /persons/{person_id}": "persons:read",
    "PATCH /persons/{person_id}": "persons:write",
    "DELETE /persons/{person_id}": "persons:erase",
    "GET /persons/{person_id}/templates": "persons:read",
    "POST /persons/{person_id}/templates": "enroll",
    "DELETE /persons/{person_id}/templates/{template_id}": "persons:erase",
    "GET /erasures/{erasure_id}": "persons:erase",
    "GET /keys": "admin",
    "POST /keys": "admin",
    "DELETE /keys/{key_id}": "admin",
    "GET /calibration": "calibrate",
    "GET /info": ANY_KEY,
    "GET /metrics": METRICS,
    "GET /health/live": PUBLIC,
    "GET /health/ready": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/problems": PUBLIC,
    "GET /docs/style.css": PUBLIC,
}
_JSON = ("*/*", "application/*", "application/json", "application/problem+json")
_OTHER_ANSWERS = ("/metrics", "/docs", "/docs/problems", "/docs/style.css")


async def access(request: Request) -> None:
    """Lets the request through to its route, or raises NoKey, BadKey, ExpiredKey, OutOfScope, NotAcceptable.

    A route that the table lacks is a KeyError: nothing is open by oversight.
    """
    path = request.scope["route"].path
    scope = TABLE[f"{request.method} {path}"]
    if path not in _OTHER_ANSWERS:
        _refuse_other_forms(request.headers.get("accept"))
    if scope == PUBLIC:
        return
    desk = desk_of(request)
    if scope == METRICS:
        if request.client is not None and desk.settings.allows_metrics(request.client.host):
            return
        scope = "admin"
    key = await desk.on_rows(desk.authenticate, sent_key(request))
    facts_of(request).key = key
    if scope != ANY_KEY:
        demand(key, scope)


def sent_key(request: Request) -> str | None:
    """The key in `Authorization: Bearer`, or in `X-API-Key`, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-api-key")


def caller(request: Request) -> Key:
    """The key that `access` let through. Raises NoKey on a public route without one."""
    key = facts_of(request).key
    if key is None:
        raise NoKey
    return key


async def insider(request: Request, desk: Desk | None) -> bool:
    """Whether a public route was called with a valid key, and may tell details."""
    if desk is None:
        return False
    try:
        facts_of(request).key = await desk.on_rows(desk.authenticate, sent_key(request))
    except Exception:  # a bad key, or a database that is down: no details either way
        return False
    return True


def _refuse_other_forms(accept: str | None) -> None:
    if accept is None or not accept.strip():
        return
    for form in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in form.split(";"))
        refused = any(p.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for p in parameters)
        if kind in _JSON and not refused:
            return
    raise NotAcceptable
