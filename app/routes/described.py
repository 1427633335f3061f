"""How routes are described in OpenAPI: their refusals, and what FastAPI cannot see for itself."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.domain.key import SCOPES
from app.routes.access import PUBLIC, TABLE
from app.routes.problems import MEDIA_TYPE
from app.routes.problems import TABLE as PROBLEMS

_STATUS_OF = {code: status for status, code in PROBLEMS.values()}
_EVERYWHERE = (
    *("no_key", "bad_key", "expired_key", "scope", "not_acceptable", "rate_limited", "locked_out"),
    *("busy", "not_ready", "shutting_down"),
)
_OF_A_BODY = ("malformed", "slow_body", "body_too_large", "unsupported_media", "invalid_field")
_OF_AN_IMAGE = (*_OF_A_BODY, "unreadable_image", "too_many_pixels")
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; further members belong to the code.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted({*_STATUS_OF, "method", "not_found"})},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}

Responses = dict[int | str, dict[str, Any]]


def refusals(*codes: str, body: bool = False, image: bool = False) -> Responses:
    """OpenAPI's responses for those codes, and for those that every route with a key, a body or an image has."""
    every = {*codes, *_EVERYWHERE, *(_OF_A_BODY if body else ()), *(_OF_AN_IMAGE if image else ())}
    return problems(every)


def problems(codes: Iterable[str]) -> Responses:
    """OpenAPI's responses for those codes alone."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(_STATUS_OF[code], []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": ", ".join(found), "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, found in sorted(by_status.items())
    }


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The whole description, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = _PROBLEM
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": f"Scopes: {', '.join(SCOPES)}."},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                scope = TABLE[f"{method.upper()} {path}"]
                operation["security"] = [] if scope == PUBLIC else [{"bearer": []}, {"header": []}]
                operation["x-scope"] = scope
        app.openapi_schema = schema
    return app.openapi_schema
