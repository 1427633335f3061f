"""Where the vault lies: a SQLite file of its own, or a schema of its own in PostgreSQL."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from app.errors import Busy, Corrupt, Misconfigured
from app.store.database import Report
from app.store.engine import is_postgres, open_database
from app.store.faults import as_service_errors
from app.store.postgres.engine import KEYS_LOCK
from app.store.vault.rows import VAULT_TABLES, VaultRows

SCHEMA = "onelook_keys"


class VaultDatabase:
    """Connections to the vault. Thread-safe. Raises Misconfigured for a URL that cannot be used."""

    def __init__(self, url: str, *, timeout_s: float, timelines: Path | None, report: Report) -> None:
        self._timeout_s = timeout_s
        self._file = None if is_postgres(url) else Path(make_url(url).database or "")
        self._database = open_database(url, timeout_s=timeout_s, timelines=timelines, report=report, lock=KEYS_LOCK)
        # Writers of one process wait here in turn, as those of the store do.
        self._writer = threading.Lock()

    @property
    def place(self) -> str:
        """What people are told of it; no password."""
        return f"the schema {SCHEMA} in PostgreSQL" if self._file is None else str(self._file)

    @contextmanager
    def reading(self) -> Iterator[VaultRows]:
        """The rows to read; each query sees what is committed at that moment. Raises Busy, StoreAway, Corrupt."""
        with as_service_errors(), self._database.reader() as connection:
            yield VaultRows(self._in_schema(connection))

    @contextmanager
    def writing(self) -> Iterator[VaultRows]:
        """The rows to change: writers are serial, and once the block is left all of it is on the disk.

        An exception undoes it. Raises Busy, StoreAway, Corrupt, NotAcknowledged.
        """
        if not self._writer.acquire(timeout=self._timeout_s):
            raise Busy("The keys of people are being written: try again in a second.")
        try:
            with as_service_errors(), self._database.begin() as connection:
                rows = VaultRows(self._in_schema(connection))
                yield rows
                self._database.commit(connection, removed=rows.removed)
        finally:
            self._writer.release()

    def make(self) -> None:
        """Makes file, schema and tables where they are missing. Raises Misconfigured."""
        try:
            if self._file is not None:
                _make_private(self._file)
            with self._database.begin() as connection:
                if self._file is None:
                    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                VAULT_TABLES.create_all(self._in_schema(connection))
                self._database.commit(connection, removed=False)
        except OperationalError as e:
            raise Misconfigured(f"the keys of people, {self.place}, cannot be opened or written: {e.orig}") from e
        except DBAPIError as e:
            raise Corrupt(f"the keys of people, {self.place}, cannot be read: {e.orig}. Put their copy back.") from e

    def is_used(self) -> bool:
        """Whether there is a vault with something in it; makes nothing. Raises Busy, StoreAway."""
        if self._file is not None and not self._file.exists():
            return False
        with as_service_errors(), self._database.reader() as connection:
            connection = self._in_schema(connection)
            if not connection.dialect.has_table(connection, "secrets", schema=None if self._file else SCHEMA):
                return False
            return VaultRows(connection).is_used()

    def close(self) -> None:
        """Closes the kept connections."""
        self._database.close()

    def _in_schema(self, connection: Connection) -> Connection:
        if self._file is not None:
            return connection
        return connection.execution_options(schema_translate_map={None: SCHEMA})


def _make_private(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its log the permissions of the file.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise Misconfigured(f"{file} can be read by others: chmod 600 {file}")
