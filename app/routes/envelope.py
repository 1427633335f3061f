"""Around every request: its id, safe headers, one line in the log, its counts, and the last resort."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Corrupt
from app.routes.facts import PLACE, Facts, header, sane_request_id, template_of
from app.routes.log import Log, describe_fault
from app.routes.problems import internal

SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
}
CLIENT_LEFT = 499


def safe_headers(scheme: str | None) -> dict[str, str]:
    """What every answer carries; over TLS also that there is no other way to come here for a year."""
    return {**SAFE_HEADERS, **({"strict-transport-security": "max-age=31536000"} if scheme == "https" else {})}


class Counts(Protocol):
    """Where requests are counted."""

    def count(self, method: str, route: str, status: int, seconds: float, facts: Facts) -> None:
        """Counts one request that has ended."""
        ...


class Envelope:
    """Pure ASGI, because a body must be read as it comes and every millisecond counts."""

    def __init__(self, app: ASGIApp, log: Log, counts: Sequence[Counts]) -> None:
        """counts: all of them are told of each request; more may be added to the same list later."""
        self._app = app
        self._log = log
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything but HTTP through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = Facts(sane_request_id(header(scope, b"x-request-id")), traceparent=header(scope, b"traceparent"))
        scope[PLACE] = facts
        began, status = time.perf_counter(), 0

        async def send_in_envelope(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope, facts.request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_in_envelope)
        except ClientDisconnect:
            status = CLIENT_LEFT
        except Exception as e:  # the last resort: whatever it is, the caller gets a problem and no traceback
            facts.fault = e
            if not status:
                await internal(facts.request_id)(scope, receive, send_in_envelope)
        finally:
            for end in facts.at_end:
                end()
            self._tell(scope, status, time.perf_counter() - began, facts)

    def _tell(self, scope: Scope, status: int, seconds: float, facts: Facts) -> None:
        route, method = template_of(scope), _known_method(scope["method"])
        for counts in self._counts:
            counts.count(method, route, status, seconds, facts)
        entry: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "request_id": facts.request_id,
            "key_id": facts.key.id if facts.key else None,
        }
        if facts.decisions:
            entry["decisions"] = facts.decisions
        if facts.fault is None:
            self._log.info("request", **entry)
        else:
            if isinstance(facts.fault, Corrupt):
                # Our own sentence, with ids and paths and nothing of anybody's face or name: what to restore.
                entry["reason"] = facts.fault.detail
            self._log.error("request", **entry, fault=describe_fault(facts.fault))


def _add_headers(message: Message, scope: Scope, request_id: str) -> None:
    headers = MutableHeaders(raw=message["headers"])
    headers["x-request-id"] = request_id
    for name, value in safe_headers(scope.get("scheme")).items():
        headers.setdefault(name, value)


def _known_method(method: str) -> str:
    # What the caller made up must not become a label of a metric.
    return method if method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS") else "OTHER"
