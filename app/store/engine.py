"""Connections to the database, and what each of them is told."""

import json
import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.errors import Misconfigured

WRITE_TIMEOUT_S = 10.0
SWEEP_TIMEOUT_MS = 250

PRAGMAS = (
    # A commit is on the disk, not only with the operating system, when the caller hears of it: it survives power loss.
    "PRAGMA synchronous=FULL",
    # Off by default in SQLite: a template would outlive its person.
    "PRAGMA foreign_keys=ON",
    # What is deleted is overwritten with zeros at once; else it lies in free pages until they are used again.
    "PRAGMA secure_delete=ON",
)


def writing_engine(url: str, *, timeout_s: float = WRITE_TIMEOUT_S) -> Engine:
    """Transactions that take the write lock when they begin, and wait `timeout_s` for it. Raises Misconfigured.

    A transaction that began by reading and wrote later could not wait: SQLite refuses it when somebody wrote between.
    """
    engine = _engine(url, timeout_s, pool_size=1, max_overflow=4)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def reading_engine(url: str, *, timeout_s: float = WRITE_TIMEOUT_S) -> Engine:
    """Kept connections on which each query is a transaction of its own and none can write. Raises Misconfigured."""
    # As many are kept as uvicorn's thread pool has threads; to open one costs more than most queries.
    engine = _engine(url, timeout_s, pool_size=40, max_overflow=216, isolation_level="AUTOCOMMIT", reset=False)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    return engine


def truncate_wal(connection: Connection) -> bool:
    """Writes the log into the database and cuts it to nothing; False when somebody's reading did not allow it.

    The connection must be outside a transaction. The log holds old pages, erased rows among them.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    timeout_ms = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    # Erasing has been committed already: nobody should wait long for the sweeping.
    driver.execute(f"PRAGMA busy_timeout={SWEEP_TIMEOUT_MS}")
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
        # The connection that was used last has the warmest page cache.
        pool_use_lifo=True,
        pool_reset_on_return="rollback" if reset else None,
        # Statements are logged without their values, should somebody turn that log on.
        hide_parameters=True,
        json_deserializer=_from_json,
        **options,
    )
    event.listen(engine, "connect", lambda connection, _: _prepare(connection, timeout_s))
    return engine


def _from_json(text: str) -> Any:
    # Most persons have neither metadata nor groups, and a search reads many persons.
    if text == "{}":
        return {}
    return [] if text == "[]" else json.loads(text)


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
