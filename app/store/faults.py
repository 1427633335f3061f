"""What a database refuses, as the service's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from app.errors import Busy, Corrupt, OnelookError, StoreAway

_WRITING = "Another change is being written: try again in a second."
_READING = "Too many requests are reading: try again in a second."
_DAMAGED = "The database is damaged: restore it from a backup."

# SQLSTATE: no lock in time, cancelled or out of time, two that waited for each other, too many connections.
_BUSY_STATES = ("55P03", "57014", "40001", "40P01", "53300")
# Full disk, no memory, input and output: the server is there, and cannot do it.
_UNFIT_STATES = ("53100", "53200", "58000", "58030")
_DAMAGED_STATES = ("XX001", "XX002")
_UNFIT_NAMES = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")
_DAMAGED_NAMES = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def as_service_errors() -> Iterator[None]:
    """Within it, what the database refuses for now is Busy or StoreAway, and damage is Corrupt; the rest stays."""
    try:
        yield
    except NoConnectionFree as e:
        raise Busy(_READING) from e
    except StatementError as e:
        # SQLAlchemy wraps ours, too, where a statement needed a new connection and none was to be had.
        fault = e.orig if isinstance(e.orig, OnelookError) else _fault(e) if isinstance(e, DBAPIError) else None
        if fault is None:
            raise
        raise fault from e


def state_of(error: DBAPIError) -> str:
    """PostgreSQL's SQLSTATE, or nothing."""
    return str(getattr(error.orig, "sqlstate", None) or "")


def is_away(state: str) -> bool:
    """Whether that SQLSTATE says that the server, or this connection to it, is gone."""
    # 25P03: the server ended it for idling inside a transaction. 57P05: for idling.
    return state.startswith("08") or state in ("57P01", "57P02", "57P03", "57P05", "25P03")


def _fault(error: DBAPIError) -> OnelookError | None:
    state, name = state_of(error), str(getattr(error.orig, "sqlite_errorname", ""))
    if state in _BUSY_STATES or name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Busy(_WRITING)
    if state in _DAMAGED_STATES or name.startswith(_DAMAGED_NAMES):
        return Corrupt(_DAMAGED)
    # 25006: the server takes no changes, as a standby does.
    away = error.connection_invalidated or is_away(state) or state == "25006"
    return StoreAway() if away or state in _UNFIT_STATES or name.startswith(_UNFIT_NAMES) else None
