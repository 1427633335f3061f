"""/openapi.json and /docs: pages of our own, that ask no other host and run no script."""

from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from app.errors import OnelookError
from app.routes.answers import answer
from app.routes.described import openapi_of
from app.routes.problems import IN_ROWS, TABLE, TITLES

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; }
h2 { margin-top: 2.5rem; }
details { border: 1px solid #8886; border-radius: 6px; padding: .4rem .8rem; margin: .5rem 0; }
summary { cursor: pointer; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
"""
PAGE_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

router = APIRouter(include_in_schema=True, tags=["docs"])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI description of this service."""
    return answer(openapi_of(request.app))


@router.get("/docs", response_class=HTMLResponse)
async def operations(request: Request) -> Response:
    """Every operation, for people."""
    return _page("Onelook", _operations(openapi_of(request.app)))


@router.get("/docs/problems", response_class=HTMLResponse)
async def problems(request: Request) -> Response:
    """Every problem code, for people."""
    return _page("Onelook: problems", _problems())


@router.get(
    "/docs/style.css",
    response_class=Response,
    responses={200: {"content": {"text/css": {"schema": {"type": "string"}}}}},
)
async def style(request: Request) -> Response:
    """How these pages look."""
    return Response(STYLE, media_type="text/css")


def _page(title: str, content: str) -> Response:
    head = f'<meta charset="utf-8"><title>{title}</title><link rel="stylesheet" href="/docs/style.css">'
    text = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{content}</body></html>'
    return HTMLResponse(text, headers={"Content-Security-Policy": PAGE_POLICY})


def _operations(schema: dict[str, Any]) -> str:
    intro = (
        '<p>Machines read <a href="/openapi.json">/openapi.json</a>. '
        'Problems are explained <a href="/docs/problems">here</a>.</p>'
    )
    return intro + "".join(
        _operation(method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    name = f"<code>{method.upper()} {escape(path)}</code>"
    fields = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    forms = ", ".join(f"<code>{escape(kind)}</code>" for kind in operation.get("requestBody", {}).get("content", ()))
    answers = "".join(
        f"<tr><td>{status}</td><td>{escape(found.get('description', ''))}</td></tr>"
        for status, found in operation["responses"].items()
    )
    return (
        f"<details><summary>{name} &mdash; {escape(operation.get('description', ''))}</summary>"
        f"<p>Scope: <code>{escape(operation['x-scope'])}</code></p>"
        + (f"<p>Body: {forms}</p>" if forms else "")
        + (f"<table><tr><th>Field</th><th>In</th><th></th></tr>{fields}</table>" if fields else "")
        + f"<table><tr><th>Status</th><th>Meaning</th></tr>{answers}</table></details>"
    )


def _problems() -> str:
    rows: dict[str, list[type[OnelookError]]] = {}
    for error, (_, code) in TABLE.items():
        rows.setdefault(code, []).append(error)
    status_of = {code: status for status, code in TABLE.values()} | {"method": 405, **IN_ROWS}
    return "".join(
        f'<h2 id="{code}"><code>{code}</code> {status_of[code]}: {escape(title)}</h2>'
        + "".join(f"<p>{escape(error.__doc__ or '')}</p>" for error in rows.get(code, ()) if code != "internal")
        for code, title in TITLES.items()
    )
