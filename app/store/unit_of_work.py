"""Units of work in SQL: where transactions begin and end."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app import ports
from app.domain.audit_check import Chain
from app.errors import Busy
from app.store.audit.chain import HmacChain
from app.store.audit.rows import SqlAudit
from app.store.audit.scribe import Scribe
from app.store.database import WRITE_TIMEOUT_S, Database, Report
from app.store.engine import open_database, to_log
from app.store.faults import as_service_errors
from app.store.rows.batches import SqlBatches
from app.store.rows.changes import SqlChanges
from app.store.rows.crops import SqlCrops
from app.store.rows.erasures import SqlErasures
from app.store.rows.galleries import SqlGalleries
from app.store.rows.idempotency import SqlIdempotency
from app.store.rows.identity_changes import SqlIdentityChanges
from app.store.rows.jobs import SqlJobs
from app.store.rows.keys import SqlKeys
from app.store.rows.models import SqlModels
from app.store.rows.people import SqlPeople
from app.store.rows.sightings import SqlSightings
from app.store.rows.style_jobs import SqlStyleJobs
from app.store.rows.templates import SqlTemplates
from app.store.vault.sealed_rows import Resealing, SealedRows
from app.store.vault.unit_keys import UnitKeys
from app.store.vault.vault import Vault

ERASURES_LOOKED_AT = 100
CHANGES_LOOKED_AT = 500
# SQLite's log keeps what a transaction that has begun to read may still ask for.
FREEZE = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


class SqlStore:
    """Fits `ports.Store` on a database that `migrate` brought up to date. Thread-safe.

    Within its units of work the database's own refusals become Busy, StoreAway or Corrupt. Raises Misconfigured for a
    database that is not supported.
    """

    def __init__(
        self,
        url: str,
        vault: Vault,
        *,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        timelines: Path | None = None,
        report: Report = to_log,
    ) -> None:
        """vault: prepared; `close` closes it too.

        write_timeout_s: how long to wait for another writer; timelines, report: as `engine.open_database` takes.
        """
        self.vault = vault
        self._chain = HmacChain(vault.secret("audit"))
        self._write_timeout_s = write_timeout_s
        self._database = open_database(url, timeout_s=write_timeout_s, timelines=timelines, report=report)
        # Writers of one process wait here in turn; SQLite lets them poll, and the unlucky one poll for long.
        self._writer = threading.Lock()
        #: In place of the database's time, for tests.
        self.time: Callable[[], datetime] | None = None

    @contextmanager
    def write(self) -> "Iterator[SqlUnitOfWork]":
        """A transaction that holds the write lock from the start. Raises Busy when the lock cannot be had in time."""
        if not self._writer.acquire(timeout=self._write_timeout_s):
            raise Busy("Another change is being written: try again in a second.")
        try:
            # Leaving the connection rolls back what was not committed.
            with as_service_errors(), self._database.begin() as connection:
                yield SqlUnitOfWork(connection, UnitKeys(self.vault), self._chain, self._database, self.time)
        finally:
            self._writer.release()

    @contextmanager
    def read(self) -> "Iterator[SqlUnitOfWork]":
        """A kept connection; each query sees what is committed at that moment, and none can write."""
        with as_service_errors(), self._database.reader() as connection:
            yield SqlUnitOfWork(connection, UnitKeys(self.vault), self._chain, None, self.time)

    @contextmanager
    def frozen(self) -> "Iterator[SqlUnitOfWork]":
        """Everything as it was at one moment, however long it is read; others write meanwhile.

        Raises StoreAway when the connection is lost in the middle: another one would show another moment.
        """
        with as_service_errors(), self._frozen_connection() as connection:
            try:
                yield SqlUnitOfWork(connection, UnitKeys(self.vault), self._chain, None, self.time)
            finally:
                if not connection.invalidated:
                    connection.exec_driver_sql("ROLLBACK")

    def close(self) -> None:
        """Closes the kept connections."""
        self._database.close()
        self.vault.close()

    def _frozen_connection(self) -> Connection:
        try:
            return self._freeze()
        except DBAPIError as e:
            # A kept connection may have ended since; nothing has been read yet.
            if not e.connection_invalidated:
                raise
            return self._freeze()

    def _freeze(self) -> Connection:
        # A plain connection, not `reader`: that one would go on reading on another when the server is lost.
        connection = self._database.reading.connect()
        try:
            connection.exec_driver_sql(FREEZE[connection.dialect.name])
        except BaseException:
            connection.close()
            raise
        return connection


class SqlUnitOfWork:
    """Fits `ports.UnitOfWork`; `database` is None where nothing may be written. time: as `SqlStyleJobs` takes."""

    def __init__(
        self,
        connection: Connection,
        keys: UnitKeys,
        chain: Chain,
        database: Database | None,
        time: Callable[[], datetime] | None = None,
    ) -> None:
        #: For what reads and writes whole tables; actions need it not.
        self.connection = connection
        self._keys = keys
        self._database = database
        self._feed = SqlChanges(connection)
        self.changes: ports.Changes = self._feed
        self.people: ports.People = SqlPeople(connection, self._feed, keys)
        self.galleries: ports.Galleries = SqlGalleries(connection, self._feed)
        templates = SqlTemplates(connection, self._feed, keys)
        self.templates: ports.Templates = templates
        self.models: ports.Models = SqlModels(connection, self._feed, keys, templates)
        self.crops: ports.Crops = SqlCrops(connection, self._feed, keys)
        self.keys: ports.Keys = SqlKeys(connection)
        self.erasures: ports.Erasures = SqlErasures(connection)
        self.audit: ports.Audit = SqlAudit(connection, self._feed, Scribe(keys, chain))
        self.sightings: ports.Sightings = SqlSightings(connection)
        self.identities: ports.IdentityChanges = SqlIdentityChanges(connection, keys)
        self.jobs: ports.Jobs = SqlJobs(connection)
        self.batches: ports.Batches = SqlBatches(connection)
        self.idempotency: ports.Idempotency = SqlIdempotency(connection)
        self.style_jobs: ports.StyleJobs = SqlStyleJobs(connection, time)
        # For rotations and starts; no action needs them.
        self.sealed_rows = SealedRows(connection)
        self.resealing = Resealing(connection, self._feed, keys)

    def note(self, kind: str, subject_ids: Sequence[str], op: str) -> None:
        """Writes changes to the feed, for rows that no repository wrote."""
        self._feed.note(kind, subject_ids, op)

    def commit(self) -> int:
        """Commits; once it returns every write is on the disk, and on every synchronous standby. The highest seq then.

        Raises NotAcknowledged when nobody can say whether the writes are kept.
        """
        if self._database is None:
            raise RuntimeError("a unit of work begun with read() cannot commit")
        head = self._feed.head()
        # An erasure whose process ended before its keys were shredded is among the last ones, or a start found it.
        before = SqlErasures(self.connection).latest(ERASURES_LOOKED_AT) if self._keys.erased else ()
        removed = self._removed_before(head) if self._keys.erased or self._keys.removed else ()
        # First: a row is never there without the key that opens it. A key without its row does no harm.
        self._keys.settle()
        self._database.commit(self.connection, removed=self._feed.removed)
        self._feed.removed = False
        self._keys.committed(before, removed)
        return head

    def _removed_before(self, head: int) -> list[str]:
        """Templates that were removed of late; of older ones a start has told the vault."""
        lately = self.sealed_rows.removed(after=head - CHANGES_LOOKED_AT, limit=CHANGES_LOOKED_AT)
        return [template_id for _, template_id in lately]
