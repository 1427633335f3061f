"""Which methods a path has, and HEAD where anybody may GET."""

from collections.abc import Callable, Iterable

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.routes.access import PUBLIC, TABLE

# None of them has a parameter in its path.
WITH_HEAD = frozenset(row.partition(" ")[2] for row, scope in TABLE.items() if scope == PUBLIC)


def methods_by_path(routes: Iterable[Route]) -> Callable[[Scope], set[str]]:
    """A function: request's scope -> every method that its path has among those routes."""
    known = tuple(routes)

    def methods(scope: Scope) -> set[str]:
        found = {method for route in known if route.matches(scope)[0] != Match.NONE for method in route.methods or ()}
        return found | {"HEAD"} if scope["path"] in WITH_HEAD else found

    return methods


class HeadAsGet:
    """Pure ASGI: answers HEAD on a public path with what GET would say, without its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything else through."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] not in WITH_HEAD:
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A scope of its own: the server looks at the method in the other one, and the log finds the route there.
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send_head)
        finally:
            if "route" in as_get:
                scope["route"] = as_get["route"]
