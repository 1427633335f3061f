"""Who is acting: the key behind a request, the command line, the service itself. It goes into the audit trail."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SERVICE, LOCAL, RETENTION = "service", "local", "retention"

_ACTOR: ContextVar[str] = ContextVar("actor", default=SERVICE)


def current_actor() -> str:
    """The id of the key that the work at hand is done for, or `local`, `retention`, and `service` where none was set.

    It follows the context: a thread sees what the code that handed it the work had set, if the context was copied.
    """
    return _ACTOR.get()


def set_actor(name: str) -> None:
    """From now on, to the end of this context (one request, one run of the command), `name` is acting."""
    _ACTOR.set(name)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Inside, `name` is acting."""
    token = _ACTOR.set(name)
    try:
        yield
    finally:
        _ACTOR.reset(token)
