"""One standby: kept connections that only read, and what it tells of itself within a bounded time."""

import os
import socket
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Row, TextClause

from app.store.database import WRITE_TIMEOUT_S
from app.store.postgres.engine import reading_engine
from app.store.postgres.failover import PrimaryConnection

# A standby that has not answered for so long is cut off, with everybody who waits for it.
ANSWER_WITHIN_S = 2.0

_TELL = """
    SELECT pg_is_in_recovery(), (SELECT system_identifier::text FROM pg_control_system()),
           (SELECT coalesce(max(seq), 0) FROM changes), (SELECT conninfo FROM pg_stat_wal_receiver)
"""


class StandbyLost(Exception):
    """Why a standby did not tell; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Told:
    """name: under which it follows its primary, None where it does not, or does not say; reached: its last change."""

    in_recovery: bool
    system: str
    reached: int
    name: str | None


class Standby:
    """Fits what `postgres.reading_engine` connects to. Thread-safe but for `tell`."""

    #: Every connection is as good as another: the answers tell how fresh they are.
    timeline = 0

    def __init__(self, server: Mapping[str, Any]) -> None:
        self._server = server
        self._open: weakref.WeakSet[PrimaryConnection] = weakref.WeakSet()
        self._teller: PrimaryConnection | None = None
        self._engine = reading_engine(self, WRITE_TIMEOUT_S)

    def connect(self) -> PrimaryConnection:
        """A connection, in autocommit."""
        connection = PrimaryConnection.connect(autocommit=True, prepare_threshold=0, **self._server)
        self._open.add(connection)
        return connection

    def lost(self) -> None:
        """Told that a connection ended: whoever asks next gets another."""

    def ask(self, query: TextClause, values: dict[str, Any]) -> Sequence[Row[Any]]:
        """The rows of one query."""
        with self._engine.connect() as connection:
            return connection.execute(query, values).all()

    def tell(self) -> Told:
        """How it stands. Raises StandbyLost where it does not answer in time."""
        try:
            teller = self._teller = self._teller or self.connect()
            with _cut_after(ANSWER_WITHIN_S, teller):
                row = teller.execute(_TELL, prepare=False).fetchone()
        except psycopg.Error as e:
            if self._teller is not None:
                self._teller.close()
                self._teller = None
            raise StandbyLost(f"it does not answer: {str(e).strip().partition(chr(10))[0]}") from e
        assert row is not None
        in_recovery, system, reached, conninfo = row
        return Told(in_recovery, system, reached, _name(conninfo))

    def cut(self) -> None:
        """Ends every connection from this side: whoever waits for an answer hears of it now."""
        for connection in list(self._open):
            _shut(connection)

    def close(self) -> None:
        """Closes the kept connections."""
        self._engine.dispose()
        if self._teller is not None:
            self._teller.close()
            self._teller = None


@contextmanager
def _cut_after(seconds: float, connection: PrimaryConnection) -> Iterator[None]:
    timer = threading.Timer(seconds, _shut, [connection])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(connection: PrimaryConnection) -> None:
    # libpq is not to be called from here, but it sees the end of a socket that others shut.
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.shutdown(socket.SHUT_RDWR)


def _name(conninfo: str | None) -> str | None:
    if conninfo is None:
        return None
    told = conninfo_to_dict(conninfo)
    name = told.get("application_name") or told.get("fallback_application_name")
    return None if name is None else str(name)
