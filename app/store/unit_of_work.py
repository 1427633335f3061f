"""Units of work in SQL: where transactions begin and end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError

from app import ports
from app.errors import Busy
from app.store.changes import SqlChanges
from app.store.engine import WRITE_TIMEOUT_S, reading_engine, truncate_wal, writing_engine
from app.store.erasures import SqlErasures
from app.store.keys import SqlKeys
from app.store.people import SqlPeople
from app.store.sealing import Sealer
from app.store.templates import SqlTemplates

_BUSY_TEXT = "Another change is being written: try again in a second."


class SqlStore:
    """Fits `ports.Store` on a database that `migrate` brought up to date. Thread-safe.

    Raises Misconfigured for a database that is not supported.
    """

    def __init__(self, url: str, sealer: Sealer, *, write_timeout_s: float = WRITE_TIMEOUT_S) -> None:
        self._sealer = sealer
        self._write_timeout_s = write_timeout_s
        self._writing = writing_engine(url, timeout_s=write_timeout_s)
        self._reading = reading_engine(url, timeout_s=write_timeout_s)
        # Writers of one process wait here in turn; SQLite lets them poll, and the unlucky one poll for long.
        self._writer = threading.Lock()
        # A process that was killed may have left erased pages in the log: the first commit clears it.
        self._log_is_owed = True

    @contextmanager
    def write(self) -> Iterator[ports.UnitOfWork]:
        """A transaction that holds the write lock from the start. Raises Busy when the lock cannot be had in time."""
        if not self._writer.acquire(timeout=self._write_timeout_s):
            raise Busy(_BUSY_TEXT)
        try:
            with self._writing.connect() as connection:
                _begin(connection)
                yield SqlUnitOfWork(connection, self._sealer, self._after_commit)
                # Leaving the connection rolls back what was not committed.
        finally:
            self._writer.release()

    @contextmanager
    def read(self) -> Iterator[ports.UnitOfWork]:
        """A kept connection; each query sees what is committed at that moment, and none can write."""
        try:
            connection = self._reading.connect()
        except TimeoutError as e:
            raise Busy("Too many requests are reading: try again in a second.") from e
        with connection:
            yield SqlUnitOfWork(connection, self._sealer, None)

    def close(self) -> None:
        """Closes the kept connections; the last one to leave a SQLite file folds the log into it."""
        self._reading.dispose()
        self._writing.dispose()

    def _after_commit(self, connection: Connection, removed: bool) -> None:
        """Clears the log of what was deleted; when a reader is in the way, the next commit tries again."""
        if removed or self._log_is_owed:
            self._log_is_owed = not truncate_wal(connection)


class SqlUnitOfWork:
    """Fits `ports.UnitOfWork`; `after_commit(connection, removed)` is None where nothing may be written."""

    def __init__(
        self, connection: Connection, sealer: Sealer, after_commit: Callable[[Connection, bool], None] | None
    ) -> None:
        self._connection = connection
        self._after_commit = after_commit
        self._feed = SqlChanges(connection)
        self.changes: ports.Changes = self._feed
        self.people: ports.People = SqlPeople(connection, self._feed)
        self.templates: ports.Templates = SqlTemplates(connection, self._feed, sealer)
        self.keys: ports.Keys = SqlKeys(connection)
        self.erasures: ports.Erasures = SqlErasures(connection)

    def commit(self) -> int:
        """Commits; once it returns every write is on the disk. The highest seq at that moment."""
        if self._after_commit is None:
            raise RuntimeError("a unit of work begun with read() cannot commit")
        head = self._feed.head()
        self._connection.commit()
        self._after_commit(self._connection, self._feed.removed)
        self._feed.removed = False
        return head


def _begin(connection: Connection) -> None:
    try:
        connection.begin()
    except OperationalError as e:
        if _is_locked(e):
            raise Busy(_BUSY_TEXT) from e
        raise


def _is_locked(error: DBAPIError) -> bool:
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_BUSY")
