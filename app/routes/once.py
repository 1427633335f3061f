"""The header Idempotency-Key: the same request again gets the first answer again."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.domain.idempotency import Remembered
from app.errors import DuplicatePerson, Merged, OnelookError
from app.ports import UnitOfWork
from app.routes.access import caller
from app.routes.desk import Desk
from app.routes.facts import facts_of
from app.routes.image_body import Sent
from app.routes.problems import problem_to

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}
# Headers that belong to the answer itself; the others are made anew for each.
_KEPT = ("content-type", "location", "retry-after", "link")

# Called inside the transaction of a change, with the answer that will tell of it and whom the answer names.
Keep = Callable[[UnitOfWork, Response, Sequence[str]], None]
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same request under the same key is carried out once, and answered the same for 24 h.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and whom it names; to_be: those whom it names who need not be enrolled, but may be one day."""

    response: Response
    person_ids: Sequence[str] = ()
    to_be: Sequence[str] = ()


async def once(request: Request, desk: Desk, sent: Sent, work: Callable[[Keep], Awaitable[Answered]]) -> Response:
    """The answer of `work`, or the kept one of an earlier same request. Without the header it is just `work`.

    Refusals (4xx) are kept too; 429 and 5xx are not. Raises IdempotencyConflict, InProgress, and what `work` raises.
    """
    header = request.headers.get(HEADER)
    if header is None:
        return (await work(lambda uow, answer, person_ids: None)).response
    route = f"{request.method} {request.scope['route'].path}"
    digest = digest_of(request.path_params, sent)
    record = await desk.on_writes(desk.once.begin, caller(request).id, route, header, digest)
    if record.status is not None:
        return Response(record.body or b"", record.status, {**record.headers, **REPLAYED})
    kept = False

    def keep(uow: UnitOfWork, answer: Response, person_ids: Sequence[str]) -> None:
        nonlocal kept
        desk.once.keep(uow, record, answer.status_code, _headers(answer), bytes(answer.body), person_ids)
        kept = True

    try:
        answered = await work(keep)
    except BaseException as e:
        await _remember_refusal(request, desk, record, e)
        raise
    if not kept:
        await _keep_unchanged(desk, record, answered)
    return answered.response


def digest_of(path: dict[str, Any], sent: Sent) -> bytes:
    """SHA-256 over the parsed fields and the bytes of the files, whatever form they were sent in."""
    found = hashlib.sha256()
    for part in (path, sent.fields):
        for name in sorted(part):
            _add(found, f"{name}={part[name]!r}".encode())
    for name in sorted(sent.images):
        _add(found, name.encode())
        _add(found, hashlib.sha256(sent.images[name]).digest())
    return found.digest()


async def _remember_refusal(request: Request, desk: Desk, record: Remembered, error: BaseException) -> None:
    answer = problem_to(facts_of(request), error) if isinstance(error, OnelookError) else None
    if answer is None or answer.status_code == 429 or answer.status_code >= 500:
        await desk.on_writes(desk.once.forget, record)
        return
    await _keep_unchanged(desk, record, Answered(answer, _named(error)))


async def _keep_unchanged(desk: Desk, record: Remembered, answered: Answered) -> None:
    answer = answered.response
    kept = (answer.status_code, _headers(answer), bytes(answer.body), answered.person_ids, answered.to_be)
    await desk.on_writes(desk.once.keep_unchanged, record, *kept)


def _named(error: BaseException) -> Sequence[str]:
    match error:
        case DuplicatePerson():
            return [one.person_id for one in error.lookalikes]
        case Merged():
            return [error.into]
    return ()


def _headers(answer: Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in _KEPT if name in answer.headers}


def _add(found: "hashlib._Hash", part: bytes) -> None:
    found.update(len(part).to_bytes(8, "big"))
    found.update(part)
