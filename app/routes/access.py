"""Which key may call which route: the one table, and the check before every route."""

from typing import Final

from starlette.requests import Request

from app.actions.authenticate import demand
from app.domain.actor import set_actor
from app.domain.gallery import Within
from app.domain.key import Key
from app.errors import BadKey, NoKey, RevokedKey
from app.routes.desk import Desk, desk_of
from app.routes.facts import facts_of
from app.routes.problems import NotAcceptable

PUBLIC: Final = "public"
ANY_KEY: Final = "any key"
METRICS: Final = "admin or an allowed address"

# docs/http.md holds the same table for people; a test compares them. `and`: the key must hold both.
TABLE = {
    "POST /detect": "detect",
    "POST /enroll": "enroll",
    "POST /enroll/batch": "enroll",
    "GET /enroll/batch/{job_id}": "enroll",
    "GET /enroll/batch/{job_id}/items": "enroll",
    "POST /enroll/batch/{job_id}/cancel": "enroll",
    "POST /verify": "verify",
    "POST /identify": "identify",
    "GET /persons": "persons:read",
    "GET /persons/{person_id}": "persons:read",
    "PATCH /persons/{person_id}": "persons:write",
    "DELETE /persons/{person_id}": "persons:erase",
    "GET /persons/{person_id}/templates": "persons:read",
    "POST /persons/{person_id}/templates": "enroll",
    "DELETE /persons/{person_id}/templates/{template_id}": "persons:erase",
    "GET /persons/{person_id}/export": "persons:read and persons:erase",
    "POST /persons/{person_id}/merge": "persons:write",
    "POST /persons/{person_id}/split": "persons:write",
    "POST /persons/changes/{change_id}/undo": "persons:write",
    "GET /duplicates": "persons:write",
    "GET /erasures/{erasure_id}": "persons:erase",
    "GET /galleries": "persons:read",
    "POST /galleries": "persons:write",
    "GET /galleries/{gallery_id}": "persons:read",
    "DELETE /galleries/{gallery_id}": "persons:write",
    "PUT /galleries/{gallery_id}/members/{person_id}": "persons:write",
    "DELETE /galleries/{gallery_id}/members/{person_id}": "persons:write",
    "GET /audit": "audit",
    "GET /audit/verify": "audit",
    "GET /audit/head": "audit",
    "GET /keys": "admin",
    "POST /keys": "admin",
    "DELETE /keys/{key_id}": "admin",
    "GET /calibration": "calibrate",
    "POST /reembeddings": "admin",
    "GET /reembeddings/{job_id}": "admin",
    "POST /reembeddings/{job_id}/cancel": "admin",
    "POST /calibrations": "calibrate",
    "GET /calibrations/{job_id}": "calibrate",
    "POST /calibrations/{job_id}/cancel": "calibrate",
    "POST /style-jobs": "style",
    "GET /style-jobs": "style",
    "GET /style-jobs/{job_id}": "style",
    "DELETE /style-jobs/{job_id}": "style",
    "GET /style-jobs/{job_id}/preview": "style",
    "GET /style-jobs/{job_id}/result": "style",
    "GET /style-jobs/{job_id}/events": "style",
    "POST /style-jobs/{job_id}/cancel": "style",
    "POST /style-jobs/{job_id}/resume": "style",
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
_OTHER_ANSWERS = (
    *("/metrics", "/docs", "/docs/problems", "/docs/style.css"),
    *("/style-jobs/{job_id}/preview", "/style-jobs/{job_id}/result", "/style-jobs/{job_id}/events"),
)


async def access(request: Request) -> None:
    """Lets the request through to its route, and counts it against the limits of its key.

    Or raises NoKey, BadKey, ExpiredKey, LockedOut, RateLimited, OutOfScope, NotAcceptable. A route that the table lacks
    is a KeyError: nothing is open by oversight.
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
    key = await _authenticated(request, desk)
    facts_of(request).at_end.append(desk.key_limits.enter(key))
    if scope != ANY_KEY:
        for one in scope.split(" and "):
            demand(key, one)


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


def bound_to(request: Request) -> Within:
    """The galleries that the caller's key is bound to; None: it is not."""
    return caller(request).galleries


async def insider(request: Request, desk: Desk | None) -> bool:
    """Whether a public route was called with a valid key, and may tell details."""
    if desk is None:
        return False
    try:
        await _authenticated(request, desk)
    except Exception:  # a bad key, or a database that is down: no details either way
        return False
    return True


async def _authenticated(request: Request, desk: Desk) -> Key:
    """The key that was sent, also noted in the facts. Raises NoKey, BadKey, ExpiredKey, LockedOut."""
    token, host = sent_key(request), request.client.host if request.client is not None else None
    if not token:
        raise NoKey
    desk.lock_out.check(host, token)
    try:
        key = await desk.on_rows(desk.authenticate, token)
    except BadKey as e:
        # Whoever has the secret of a key that was revoked guesses nothing.
        if not isinstance(e, RevokedKey):
            facts_of(request).locks_out = desk.lock_out.note_bad(host)
        raise
    desk.lock_out.note_good(host, token)
    facts_of(request).key = key
    set_actor(key.id)
    return key


def _refuse_other_forms(accept: str | None) -> None:
    if accept is None or not accept.strip():
        return
    for form in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in form.split(";"))
        refused = any(p.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for p in parameters)
        if kind in _JSON and not refused:
            return
    raise NotAcceptable
