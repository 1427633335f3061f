"""Which kind of database a URL names."""

import logging
from pathlib import Path

from sqlalchemy import Engine

from app.errors import Misconfigured
from app.store import sqlite
from app.store.database import WRITE_TIMEOUT_S, Database, Report
from app.store.postgres import engine as postgres
from app.store.postgres.failover import Servers

to_log: Report = logging.getLogger(__name__).warning


def is_postgres(url: str) -> bool:
    """Whether the URL names a PostgreSQL server. Raises Misconfigured for what is neither that nor SQLite."""
    kind = url.partition(":")[0]
    if kind in ("postgresql", "postgresql+psycopg", "postgres"):
        return True
    if kind in ("sqlite", "sqlite+pysqlite"):
        return False
    # The text is left out: a URL may hold a password.
    raise Misconfigured(
        "ONELOOK_DATABASE_URL is no URL of a database that is supported: sqlite:////path/to/onelook.db is one, "
        "postgresql://user:password@host/database another"
    )


def open_database(
    url: str,
    *,
    timeout_s: float = WRITE_TIMEOUT_S,
    timelines: Path | None = None,
    report: Report = to_log,
    lock: int = postgres.WRITE_LOCK,
) -> Database:
    """The database of that URL; connects when it is first used. Raises Misconfigured.

    timeout_s: how long a writer waits for another; timelines: file that remembers the newest primary of PostgreSQL;
    lock: which of its advisory locks writers take.
    """
    if is_postgres(url):
        return postgres.PostgresDatabase(Servers(url, timelines, report), timeout_s, lock)
    return sqlite.SqliteDatabase(url, timeout_s)


def writing_engine(
    url: str, *, timeout_s: float = WRITE_TIMEOUT_S, timelines: Path | None = None, report: Report = to_log
) -> Engine:
    """Transactions that take the write lock when they begin, and wait `timeout_s` for it. Raises Misconfigured."""
    if is_postgres(url):
        # Used by migrations, whose statements may take as long as they need.
        return postgres.writing_engine(Servers(url, timelines, report), timeout_s, statement_timeout_s=0)
    return sqlite.writing_engine(url, timeout_s)


def reading_engine(
    url: str, *, timeout_s: float = WRITE_TIMEOUT_S, timelines: Path | None = None, report: Report = to_log
) -> Engine:
    """Kept connections on which each query is a transaction of its own and none can write. Raises Misconfigured."""
    if is_postgres(url):
        return postgres.reading_engine(Servers(url, timelines, report), timeout_s)
    return sqlite.reading_engine(url, timeout_s)
