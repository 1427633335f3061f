"""SQLite: connections to the file, and what each of them is told."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.errors import Misconfigured
from app.store.database import OPTIONS, from_json

SWEEP_TIMEOUT_MS = 250
# Somebody may read for minutes, as a backup does: others must be able to write meanwhile.
SWEEP_AGAIN_S = 2.0

PRAGMAS = (
    # A commit is on the disk, not only with the operating system, when the caller hears of it: it survives power loss.
    "PRAGMA synchronous=FULL",
    # Off by default in SQLite: a template would outlive its person.
    "PRAGMA foreign_keys=ON",
    # What is deleted is overwritten with zeros at once; else it lies in free pages until they are used again.
    "PRAGMA secure_delete=ON",
)


class SqliteDatabase:
    """Fits `database.Database` on a file in WAL mode."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.writing = writing_engine(url, timeout_s)
        self.reading = reading_engine(url, timeout_s)
        # A process that was killed may have left erased pages in the log: the first commit clears it.
        self._log_is_owed = True
        self._sweep_from_s = 0.0

    def begin(self) -> Connection:
        """A connection that has begun to write; closing it rolls back what was not committed."""
        connection = self.writing.connect()
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection

    def reader(self) -> Connection:
        """A kept connection to read with; closing it gives it back."""
        return self.reading.connect()

    def commit(self, connection: Connection, *, removed: bool) -> None:
        """Commits; what was removed leaves the log too. When a reader is in the way, a later commit tries again."""
        connection.commit()
        if removed or (self._log_is_owed and time.monotonic() >= self._sweep_from_s):
            self._log_is_owed = not truncate_wal(connection, SWEEP_TIMEOUT_MS if removed else 0)
            self._sweep_from_s = time.monotonic() + SWEEP_AGAIN_S

    def close(self) -> None:
        """Closes the kept connections; the last one to leave the file folds the log into it."""
        self.reading.dispose()
        self.writing.dispose()


def writing_engine(url: str, timeout_s: float) -> Engine:
    """Transactions that take the write lock when they begin, and wait `timeout_s` for it. Raises Misconfigured.

    A transaction that began by reading and wrote later could not wait: SQLite refuses it when somebody wrote between.
    """
    engine = _engine(url, timeout_s, pool_size=1, max_overflow=4)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def reading_engine(url: str, timeout_s: float) -> Engine:
    """Kept connections on which each query is a transaction of its own and none can write. Raises Misconfigured."""
    # As many are kept as uvicorn's thread pool has threads; to open one costs more than most queries.
    engine = _engine(url, timeout_s, pool_size=40, max_overflow=216, isolation_level="AUTOCOMMIT", reset=False)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    return engine


def truncate_wal(connection: Connection, wait_ms: int = SWEEP_TIMEOUT_MS) -> bool:
    """Writes the log into the database and cuts it to nothing; False when somebody's reading did not allow it.

    wait_ms: how long it waits for them, during which nobody else can write. The connection must be outside a
    transaction. The log holds old pages, erased rows among them.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    timeout_ms = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    # Erasing has been committed already: nobody should wait long for the sweeping.
    driver.execute(f"PRAGMA busy_timeout={wait_ms}")
    try:
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        driver.execute(f"PRAGMA busy_timeout={timeout_ms}")
    return not busy


def _engine(url: str, timeout_s: float, *, reset: bool = True, **options: Any) -> Engine:
    _refuse_unsupported(url)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_timeout=timeout_s,
        pool_reset_on_return="rollback" if reset else None,
        json_deserializer=from_json,
        **OPTIONS,
        **options,
    )
    event.listen(engine, "connect", lambda connection, _: _prepare(connection, timeout_s))
    return engine


def _refuse_unsupported(url: str) -> None:
    try:
        parsed = make_url(url)
    except ArgumentError as e:
        # The text of the error is left out: a URL may hold a password.
        raise Misconfigured("ONELOOK_DATABASE_URL is no database URL; sqlite:////path/to/onelook.db is one") from e
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise Misconfigured(f"the database {parsed.drivername} is not supported: give a sqlite:/// URL")
    if parsed.database in (None, "", ":memory:") or parsed.query:
        raise Misconfigured("the database must be a file, without options: sqlite:////path/to/onelook.db")


def _prepare(connection: sqlite3.Connection, timeout_s: float) -> None:
    # Autocommit of the driver: transactions begin where SQLAlchemy says so, and not before the first INSERT.
    connection.isolation_level = None
    # How long a statement waits for a lock of another process before it fails.
    connection.execute(f"PRAGMA busy_timeout={int(timeout_s * 1000)}")
    _use_wal(connection, timeout_s)
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Write-ahead log: readers never wait for the writer. The file remembers it."""
    deadline = time.monotonic() + timeout_s
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            # Two processes that make the switch at once get this without waiting, whatever busy_timeout says.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
