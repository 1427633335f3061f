"""What is known of the request at hand, for the log, the metrics and the answer."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request
from starlette.types import Scope

from app.actions.timings import Timings
from app.domain.key import Key

PLACE = "onelook"
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(slots=True)
class Facts:
    """Filled on the way in. fault: an error of our own, for the log alone; at_end: called once the request ended.

    locks_out: its key was the bad one too many from that address. traceparent: the caller's span (W3C), as sent.
    """

    request_id: str
    key: Key | None = None
    decisions: list[str] = field(default_factory=list)
    timings: Timings | None = None
    fault: BaseException | None = None
    locks_out: bool = False
    traceparent: str | None = None
    at_end: list[Callable[[], None]] = field(default_factory=list)


def facts_of(request: Request) -> Facts:
    """The facts of that request."""
    return cast(Facts, request.scope[PLACE])


def sane_request_id(sent: str | None) -> str:
    """The id that was sent, if it is 1..64 plain characters; else a fresh one."""
    return sent if sent is not None and _SANE_ID.fullmatch(sent) else secrets.token_hex(16)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that lower-case name, or None."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def template_of(scope: Scope) -> str:
    """The route's path with its parameters' names, or `-` where no route fits: never what the caller wrote."""
    return str(getattr(scope.get("route"), "path", "-"))
