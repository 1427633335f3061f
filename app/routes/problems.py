"""The one table error -> status and code, and how a problem is written (RFC 9457)."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app import errors
from app.errors import OnelookError
from app.routes.facts import Facts

MEDIA_TYPE = "application/problem+json"
EXPLAINED_AT = "/docs/problems"


class Malformed(OnelookError):
    """The body is not what its Content-Type says."""


class NotAcceptable(OnelookError):
    """The answer is JSON: send `Accept: application/json`, or none."""


class SlowBody(OnelookError):
    """The body took too long to arrive: send it again over a better connection."""


class Crowded(errors.Busy):
    """Too many bodies are on their way: try again in a second."""


class BodyTooLarge(OnelookError):
    """The body has more bytes than the limit: send a smaller one."""


class IfMatchRequired(OnelookError):
    """A change needs the header If-Match with the ETag that GET gave."""


# An error that is not listed has the row of its nearest ancestor that is.
TABLE: Mapping[type[OnelookError], tuple[int, str]] = {
    Malformed: (400, "malformed"),
    errors.UnreadableBatch: (400, "malformed"),
    errors.NoKey: (401, "no_key"),
    errors.BadKey: (401, "bad_key"),
    errors.ExpiredKey: (401, "expired_key"),
    errors.OutOfScope: (403, "scope"),
    errors.UnknownPerson: (404, "unknown_person"),
    errors.UnknownGallery: (404, "unknown_gallery"),
    errors.UnknownTemplate: (404, "unknown_template"),
    errors.UnknownKey: (404, "unknown_key"),
    errors.UnknownJob: (404, "unknown_job"),
    errors.UnknownErasure: (404, "not_found"),
    errors.UnknownIdentityChange: (404, "not_found"),
    NotAcceptable: (406, "not_acceptable"),
    SlowBody: (408, "slow_body"),
    errors.PersonExists: (409, "person_exists"),
    errors.GalleryExists: (409, "gallery_exists"),
    errors.IdempotencyConflict: (409, "idempotency_conflict"),
    errors.InProgress: (409, "in_progress"),
    errors.DuplicatePerson: (409, "duplicate_person"),
    errors.NotSamePerson: (409, "not_same_person"),
    errors.LastAdminKey: (409, "last_admin_key"),
    errors.AlreadyServed: (409, "already_served"),
    errors.LeavesBehind: (409, "leaves_behind"),
    errors.NotEnded: (409, "not_ended"),
    errors.CannotUndo: (409, "cannot_undo"),
    errors.Stale: (412, "stale"),
    BodyTooLarge: (413, "body_too_large"),
    errors.ImageTooLarge: (413, "body_too_large"),
    errors.BatchTooLarge: (413, "body_too_large"),
    errors.UnsupportedMedia: (415, "unsupported_media"),
    errors.InvalidField: (422, "invalid_field"),
    errors.InvalidOption: (422, "invalid_option"),
    errors.UnreadableImage: (422, "unreadable_image"),
    errors.UnreadableEntry: (422, "unreadable_image"),
    errors.UnreadableMedia: (422, "unreadable_media"),
    errors.TooLarge: (422, "too_large"),
    errors.TooManyPixels: (422, "too_many_pixels"),
    errors.NoFace: (422, "no_face"),
    errors.SeveralFaces: (422, "several_faces"),
    errors.PoorQuality: (422, "poor_quality"),
    errors.UnsupportedTarget: (422, "unsupported_target"),
    errors.SampleTooSmall: (422, "sample_too_small"),
    IfMatchRequired: (428, "if_match_required"),
    errors.RateLimited: (429, "rate_limited"),
    errors.LockedOut: (429, "locked_out"),
    errors.QueueFull: (429, "queue_full"),
    OnelookError: (500, "internal"),
    errors.Busy: (503, "busy"),
    errors.NotReady: (503, "not_ready"),
    # Nobody can be recognized by what cannot be trusted; the administrator finds the reason in the log.
    errors.Corrupt: (503, "not_ready"),
    errors.StoreAway: (503, "not_ready"),
    errors.NotAcknowledged: (503, "not_ready"),
    errors.ShuttingDown: (503, "shutting_down"),
}
# Codes that only the row of a job tells, and what status an answer would have.
IN_ROWS: Mapping[str, int] = {"worker_lost": 500, "files_gone": 500}
TITLES = {
    "malformed": "The body cannot be read",
    "no_key": "A key is needed",
    "bad_key": "The key is not valid",
    "expired_key": "The key has expired",
    "scope": "The key lacks a scope",
    "not_found": "There is nothing here",
    "unknown_person": "Unknown person",
    "unknown_gallery": "Unknown gallery",
    "unknown_template": "Unknown template",
    "unknown_key": "Unknown key",
    "unknown_job": "Unknown job",
    "method": "That method is not allowed here",
    "not_acceptable": "No acceptable form of the answer",
    "slow_body": "The body came too slowly",
    "person_exists": "The id is taken",
    "idempotency_conflict": "An Idempotency-Key used twice",
    "in_progress": "The same request is still running",
    "gallery_exists": "The gallery's id is taken",
    "duplicate_person": "Somebody enrolled looks like this",
    "not_same_person": "Another person's face",
    "last_admin_key": "The last admin key",
    "cannot_undo": "It cannot be undone any more",
    "already_served": "That model is served already",
    "leaves_behind": "Persons would be left behind",
    "not_ended": "The job has not come that far",
    "stale": "Changed in the meantime",
    "body_too_large": "Too many bytes",
    "unsupported_media": "A format that is not read",
    "invalid_field": "A field is not valid",
    "invalid_option": "An option is not valid",
    "unreadable_image": "The image cannot be read",
    "unreadable_media": "The file cannot be read",
    "too_many_pixels": "Too many pixels",
    "too_large": "More memory than a render may take",
    "no_face": "No face",
    "several_faces": "More than one face",
    "poor_quality": "The face is not good enough",
    "unsupported_target": "An error rate without evidence",
    "sample_too_small": "Too few people to calibrate on",
    "if_match_required": "If-Match is needed",
    "rate_limited": "The key asks too much",
    "locked_out": "Too many bad keys",
    "queue_full": "Too many renders wait",
    "internal": "A fault of the service",
    "worker_lost": "Whoever worked on it was lost",
    "files_gone": "The files are not there",
    "busy": "Busy",
    "not_ready": "Not ready yet",
    "shutting_down": "Shutting down",
}


def row_of(error: type[OnelookError]) -> tuple[int, str]:
    """Status and code of that class."""
    return next(TABLE[one] for one in error.__mro__ if one in TABLE)


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as an answer; `members` are those of this kind of problem."""
    body = {
        "type": f"{EXPLAINED_AT}#{code}",
        "title": TITLES[code],
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
        **(members or {}),
    }
    return Response(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), status, headers, MEDIA_TYPE)


def problem_of(error: OnelookError, request_id: str, *, may_name_people: bool = False) -> Response:
    """The problem that tells an error; a fault of our own, and what is stored and corrupt, without its text."""
    status, code = row_of(type(error))
    if code == "internal":
        return internal(request_id)
    members = _members(error, may_name_people=may_name_people)
    detail = errors.NotReady().detail if isinstance(error, errors.Corrupt) else error.detail
    return problem(status, code, detail, request_id, members, _headers(error, status))


def told(error: OnelookError) -> tuple[str, str, dict[str, Any]]:
    """Code, detail and further members as a row may keep them: nobody is named, and of our faults nothing is told."""
    code = row_of(type(error))[1]
    if code == "internal" or isinstance(error, errors.Corrupt):
        return "internal", "The service failed on this one; its log says more.", {}
    return code, error.detail, _members(error, may_name_people=False)


def heading(code: str) -> dict[str, Any]:
    """Type, title, status and code of a problem, from its code."""
    status = IN_ROWS.get(code) or next(status for status, known in TABLE.values() if known == code)
    return {"type": f"{EXPLAINED_AT}#{code}", "title": TITLES[code], "status": status, "code": code}


def internal(request_id: str) -> Response:
    """What is told of a fault of our own: nothing but where to look for it."""
    return problem(500, "internal", "The service failed; its log says more under this request_id.", request_id)


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for every OnelookError."""
    if not isinstance(error, OnelookError):
        raise error
    facts: Facts = request.scope["onelook"]
    told_to_the_log = errors.Corrupt, errors.StoreAway, errors.NotAcknowledged
    if isinstance(error, told_to_the_log) or row_of(type(error))[0] == 500:
        facts.fault = error
    return problem_to(facts, error)


def problem_to(facts: Facts, error: OnelookError) -> Response:
    """The problem as the caller of that request may see it."""
    may_name_people = facts.key is not None and facts.key.holds("identify")
    return problem_of(error, facts.request_id, may_name_people=may_name_people)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, another method, a header that cannot be parsed."""
    if not isinstance(error, HTTPException):
        raise error
    request_id = request.scope["onelook"].request_id
    if error.status_code == 404:
        return problem(404, "not_found", "There is no such path; /docs lists them.", request_id)
    if error.status_code == 405:
        headers = {"Allow": ", ".join(sorted(request.app.state.methods(request.scope)))}
        return problem(405, "method", "The header Allow says what can be done here.", request_id, None, headers)
    return problem(400, "malformed", "The request cannot be understood.", request_id, None, error.headers)


async def on_validation_error(request: Request, error: Exception) -> Response:
    """FastAPI's own refusal of a parameter."""
    if not isinstance(error, RequestValidationError):
        raise error
    field = ".".join(str(part) for part in error.errors()[0]["loc"][1:]) if error.errors() else ""
    refusal = errors.InvalidField(field, "The value is not allowed.")
    return problem_of(refusal, request.scope["onelook"].request_id)


# Members that are called as the error's own fields are.
_AS_THEY_ARE: Mapping[type[OnelookError], tuple[str, ...]] = {
    errors.UnsupportedTarget: ("kind", "least"),
    errors.SampleTooSmall: ("needed",),
    errors.InvalidOption: ("option",),
    errors.TooLarge: ("fits",),
}


def _members(error: OnelookError, *, may_name_people: bool) -> dict[str, Any]:
    match error:
        case errors.InvalidField():
            return {"field": error.field}
        case errors.SeveralFaces():
            return {"boxes": [[round(float(x), 1) for x in box] for box in error.boxes]}
        case errors.PoorQuality():
            return {"reasons": [{"reason": r.reason, "advice": r.advice} for r in error.reasons]}
        case errors.UnsupportedTarget() | errors.SampleTooSmall() | errors.InvalidOption() | errors.TooLarge():
            return {name: getattr(error, name) for name in _AS_THEY_ARE[type(error)]}
        case errors.OutOfScope():
            return {"scope": error.scope}
        case errors.UnknownPerson():
            return _elsewhere(error)
        case errors.CannotUndo():
            return {"in_the_way": [{"kind": one.kind, "id": one.id, "why": one.why} for one in error.obstacles]}
        case errors.DuplicatePerson() if may_name_people:
            return {
                "duplicates": [
                    {"person_id": one.person_id, "name": one.name, "similarity": round(one.similarity, 6)}
                    for one in error.lookalikes
                ]
            }
        case errors.LeavesBehind():
            return _left(error, may_name_people=may_name_people)
    return {}


def _elsewhere(error: errors.UnknownPerson) -> dict[str, Any]:
    """Where to look for somebody who was there once."""
    match error:
        case errors.Erased():
            return {"erasure": f"/erasures/{error.person_id}"}
        case errors.Merged():
            return {"merged_into": error.into}
    return {}


def _left(error: errors.LeavesBehind, *, may_name_people: bool) -> dict[str, Any]:
    """How many, and the first of them; a row, which may outlive them, keeps the number alone."""
    return {"persons": error.persons, **({"person_ids": list(error.first)} if may_name_people else {})}


def _headers(error: OnelookError, status: int) -> dict[str, str]:
    match error:
        case Crowded():
            # The rest of the body is still on its way, and nobody will read it.
            return {"Retry-After": str(error.retry_after_s), "Connection": "close"}
        case errors.Unavailable() | errors.InProgress():
            return {"Retry-After": str(error.retry_after_s)}
        case errors.Corrupt():
            return {"Retry-After": str(errors.NotReady.retry_after_s)}
        case errors.Erased():
            return {"Link": f'</erasures/{error.person_id}>; rel="related"'}
        case errors.Merged():
            return {"Link": f'</persons/{error.into}>; rel="related"'}
        case BodyTooLarge() | SlowBody():
            return {"Connection": "close"}  # for the same reason
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}
