"""PostgreSQL: connections to the primary, and what each of them is told."""

import threading
from contextlib import suppress
from typing import Any, Protocol

import psycopg
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.errors import NotAcknowledged
from app.store.database import OPTIONS
from app.store.faults import is_away, state_of
from app.store.postgres.failover import PrimaryConnection, Servers

# Writers hold it from the beginning of their transaction: the order of commits is that of `changes.seq`. A sequence
# alone would let whoever follows the feed pass over a row whose transaction commits late. "onelook" in ASCII.
WRITE_LOCK = 0x6F6E656C6F6F6B
# The same for the keys of people, which may lie in the same database and are written while WRITE_LOCK is held.
KEYS_LOCK = WRITE_LOCK + 1
# A statement that takes longer is given up; a commit that waits for its standbys has a limit of its own.
STATEMENT_TIMEOUT_S = 30.0
# A process that stops in the middle of a transaction holds everybody else up no longer than this.
IDLE_TIMEOUT_S = 60.0
READERS = 20
# How pgvector searches its graph; without the extension they are names that nobody reads. Compiling a query takes
# longer than any of ours does.
SEARCHING = {"hnsw.ef_search": "200", "hnsw.iterative_scan": "strict_order", "jit": "off"}


class Connecting(Protocol):
    """Where connections come from."""

    @property
    def timeline(self) -> int:
        """Connections on an older timeline are not used any more."""
        ...

    def connect(self) -> PrimaryConnection:
        """A connection, in autocommit. Raises StoreAway."""
        ...

    def lost(self) -> None:
        """Told that a connection ended."""
        ...


class PostgresDatabase:
    """Fits `database.Database` on the primary of several servers, whichever it is at the time."""

    def __init__(self, servers: Servers, timeout_s: float, lock: int = WRITE_LOCK) -> None:
        self._servers = servers
        self._timeout_s = timeout_s
        self.writing = writing_engine(servers, timeout_s, lock=lock)
        self.reading = reading_engine(servers, timeout_s)
        servers.watch()

    def begin(self) -> Connection:
        """A connection that has begun to write; closing it rolls back what was not committed."""
        try:
            return self._begin()
        except DBAPIError as e:
            # A kept connection may have ended since. Nothing has been written: this is no second try of a change.
            if not e.connection_invalidated:
                raise
            return self._begin()

    def reader(self) -> Connection:
        """A kept connection; a query whose connection ends is asked once more on another."""
        return _Rereading(self.reading)

    def commit(self, connection: Connection, *, removed: bool) -> None:
        """Commits; every synchronous standby has applied it too. Raises NotAcknowledged when that is not sure.

        The standbys are waited for as long as another writer would be. No timeout of the server's ends that wait.
        """
        driver = _driver(connection)
        warnings: list[str] = []

        def note(diagnostic: psycopg.errors.Diagnostic) -> None:
            # A wait for the standbys that is cut short is a warning, not an error: committed here, maybe not there.
            if diagnostic.severity_nonlocalized == "WARNING":
                warnings.append(str(diagnostic.sqlstate))

        driver.add_notice_handler(note)
        giving_up = threading.Timer(self._timeout_s, _cancel, [driver])
        giving_up.start()
        try:
            connection.commit()
        except DBAPIError as e:
            if e.connection_invalidated:
                raise NotAcknowledged from e
            raise
        finally:
            giving_up.cancel()
            driver.remove_notice_handler(note)
        if warnings:
            raise NotAcknowledged

    def close(self) -> None:
        """Closes the kept connections."""
        self._servers.close()
        self.reading.dispose()
        self.writing.dispose()

    def _begin(self) -> Connection:
        connection = self.writing.connect()
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection


def writing_engine(
    servers: Servers, timeout_s: float, *, statement_timeout_s: float = STATEMENT_TIMEOUT_S, lock: int = WRITE_LOCK
) -> Engine:
    """Transactions that take the write lock when they begin, and wait `timeout_s` for it."""
    engine = _engine(
        servers,
        {
            # Without a synchronous standby this waits for the own disk, like `on`.
            "synchronous_commit": "remote_apply",
            # Each statement sees what the writer before has committed, also the first after the wait for the lock.
            "default_transaction_isolation": "read committed",
            "lock_timeout": f"{timeout_s * 1000:.0f}",
            "statement_timeout": f"{statement_timeout_s * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S * 1000:.0f}",
            # A cut wait for the standbys is told as a warning, and must arrive.
            "client_min_messages": "warning",
        },
        pool_size=1,
        max_overflow=1,
        pool_timeout=timeout_s,
    )
    take_lock = f"SELECT pg_advisory_xact_lock({lock})"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(take_lock))
    return engine


def reading_engine(servers: Connecting, timeout_s: float) -> Engine:
    """Kept connections on which each query is a transaction of its own and none can write."""
    told = {"default_transaction_read_only": "on", "lock_timeout": f"{timeout_s * 1000:.0f}", **SEARCHING}
    return _engine(
        servers,
        told,
        pool_size=READERS,
        # A server has room for some 100 connections: a process takes no more than its share.
        max_overflow=0,
        pool_timeout=timeout_s,
        autocommit=True,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
    )


class _Rereading(Connection):
    """A connection for single queries: one that fails because the server went is asked again, once, on another."""

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        try:
            return super().execute(statement, parameters, execution_options=execution_options)
        except DBAPIError as e:
            if not e.connection_invalidated:
                raise
        # The connection that was lost had a transaction in name only; without it the next execute takes a new one.
        self.rollback()
        return super().execute(statement, parameters, execution_options=execution_options)


def _engine(servers: Connecting, told: dict[str, str], *, autocommit: bool = False, **options: Any) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=servers.connect,
        poolclass=QueuePool,
        use_native_hstore=False,
        **OPTIONS,
        **options,
    )
    told = {"TimeZone": "UTC", **told}
    settings = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in told.items())

    def prepare(connection: PrimaryConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["epoch"] = connection.timeline
        connection.autocommit = True
        connection.execute(settings, prepare=False)
        connection.autocommit = autocommit

    def leave_an_old_primary(
        connection: PrimaryConnection, entry: ConnectionPoolEntry, proxy: PoolProxiedConnection
    ) -> None:
        if connection.timeline < servers.timeline:
            raise DisconnectionError("a newer primary was seen")

    def see_the_end(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(error, DBAPIError) and is_away(state_of(error)):
            context.is_disconnect = True
        if context.is_disconnect:
            servers.lost()

    event.listen(engine, "connect", prepare)
    event.listen(engine, "checkout", leave_an_old_primary)
    event.listen(engine, "handle_error", see_the_end)
    return engine


def _cancel(driver: PrimaryConnection) -> None:
    # A server that cannot be reached for it has ended the commit as well.
    with suppress(psycopg.Error):
        driver.cancel_safe()


def _driver(connection: Connection) -> PrimaryConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, PrimaryConnection)
    return driver
