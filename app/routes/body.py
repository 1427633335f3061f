"""Reads what a request sends: bounded in bytes and in time while it comes."""

from collections import defaultdict
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.requests import Request

from app.errors import InvalidField, UnsupportedMedia
from app.routes.budget import ByteBudget, Held
from app.routes.desk import Desk
from app.routes.facts import facts_of
from app.routes.kinds import strict_json
from app.routes.problems import BodyTooLarge, Malformed, SlowBody

MOST_FIELDS = 200
# Parsed in the event loop: what needs no picture is small.
LARGEST_OBJECT = 64 * 1024
# Text of a few megabytes can stand for gigabytes of nested values.
MOST_VALUES = 10_000
JSON = "application/json"


async def read(request: Request, desk: Desk, largest: int | None = None) -> bytes:
    """The whole body, of `largest` bytes at most, or of what the settings allow.

    Its bytes count against the budget of the desk until the request ends. Raises BodyTooLarge as soon as it is,
    SlowBody, Crowded when the budget is spent, UnsupportedMedia where it is compressed.
    """
    settings = desk.settings
    limit = settings.max_body_bytes if largest is None else min(largest, settings.max_body_bytes)
    return await read_within(request, limit, settings.body_timeout_s, desk.bodies)


async def read_within(request: Request, limit: int, timeout_s: float, budget: ByteBudget) -> bytes:
    """The whole body, of `limit` bytes at most, in that time, counted against that budget; raises what `read` does."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without Content-Encoding.")
    too_large = f"The body has more than {limit} bytes: send a smaller one."
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise BodyTooLarge(too_large)
    held = Held(budget)
    facts_of(request).at_end.append(held.give_back)
    chunks: list[bytes] = []
    size = 0
    try:
        with anyio.fail_after(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise BodyTooLarge(too_large)
                held.take(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise SlowBody(f"The body took longer than {timeout_s:g} s: use a better connection.") from None
    return b"".join(chunks)


async def read_object(request: Request, desk: Desk, *also: str) -> dict[str, Any]:
    """A body of 64 KiB at most that is a JSON object.

    Raises UnsupportedMedia for a type other than JSON and `also`, Malformed, and what `read` raises.
    """
    no_query(request)
    if media_type(request) not in (JSON, *also):
        raise UnsupportedMedia(f"Send the fields as {JSON}.")
    return parse_object(await read(request, desk, LARGEST_OBJECT))


def parse_object(body: bytes) -> dict[str, Any]:
    """Bytes -> JSON object. Raises Malformed, before any parsing where it may hold more than 10,000 values."""
    if body.count(b"[") + body.count(b"{") > MOST_VALUES or body.count(b",") > MOST_VALUES:
        raise Malformed("The JSON has too many values.")
    try:
        value = strict_json(body)
    except (ValueError, RecursionError):
        raise Malformed("The body is not the JSON that its Content-Type says.") from None
    if not isinstance(value, dict):
        raise Malformed("The body must be a JSON object.")
    return value


def media_type(request: Request) -> str:
    """The Content-Type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def query(request: Request) -> dict[str, list[str]]:
    """The fields of the query string. Raises Malformed when they are not UTF-8, or too many."""
    return parse_query(request.scope["query_string"])


def parse_query(raw: bytes) -> dict[str, list[str]]:
    """Bytes -> values by name, in order."""
    if not raw:
        return {}
    fields: defaultdict[str, list[str]] = defaultdict(list)
    try:
        for name, value in parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        ):
            fields[name].append(value)
    except ValueError:
        raise Malformed("The query string is not UTF-8 in percent-encoding, or has too many fields.") from None
    return dict(fields)


def no_query(request: Request) -> None:
    """Raises InvalidField when there is a query, where no field may stand in it."""
    for name in query(request):
        raise InvalidField(name[:60], "There is no such field in the query here.")
