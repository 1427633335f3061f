"""The published fake of the store: the same promises as SQL, in a dictionary, gone when the process ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from app import ports
from app.errors import Busy
from app.store.audit.chain import HmacChain
from app.store.audit.scribe import Scribe
from app.store.memory.audit import MemoryAudit, MemorySightings
from app.store.memory.batches import MemoryBatches
from app.store.memory.changes import MemoryChanges
from app.store.memory.erasures import MemoryErasures
from app.store.memory.galleries import MemoryGalleries
from app.store.memory.idempotency import MemoryIdempotency
from app.store.memory.identities import MemoryIdentityChanges
from app.store.memory.jobs import MemoryJobs
from app.store.memory.keys import MemoryKeys
from app.store.memory.models import MemoryCrops, MemoryModels
from app.store.memory.people import MemoryPeople
from app.store.memory.rows import Rows
from app.store.memory.style_jobs import MemoryStyleJobs
from app.store.memory.templates import MemoryTemplates
from app.store.memory.vault import MemoryVault


class MemoryStore:
    """Fits `ports.Store`. Thread-safe: one writer at a time, readers see the last commit and never wait."""

    def __init__(self, *, write_timeout_s: float = 10.0, vault: MemoryVault | None = None) -> None:
        self.vault = vault or MemoryVault()
        self.scribe = Scribe(self.vault, HmacChain(self.vault.secret("audit")))
        self._writer = threading.Lock()
        self._write_timeout_s = write_timeout_s
        self.committed = Rows()
        #: What leases are measured with; tests put a clock of their own here.
        self.time: Callable[[], datetime] | None = None

    def now(self) -> datetime:
        """The time, as a database has one."""
        return datetime.now(UTC) if self.time is None else self.time()

    @contextmanager
    def write(self) -> Iterator[ports.UnitOfWork]:
        """A transaction. Raises Busy when another one does not end in time."""
        if not self._writer.acquire(timeout=self._write_timeout_s):
            raise Busy("Another change is being written: try again in a second.")
        try:
            yield MemoryUnitOfWork(self, self.committed.copy())
        finally:
            self._writer.release()

    @contextmanager
    def read(self) -> Iterator[ports.UnitOfWork]:
        """Each call sees what is committed at that moment; a write through it is a RuntimeError."""
        yield MemoryUnitOfWork(self, None)

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryUnitOfWork:
    """Fits `ports.UnitOfWork`; `working` is None where nothing may be written."""

    def __init__(self, store: MemoryStore, working: Rows | None) -> None:
        self._store = store
        self._working = working
        #: Persons whose keys go once the commit is done.
        self.erased: list[str] = []
        self.people: ports.People = MemoryPeople(self)
        self.galleries: ports.Galleries = MemoryGalleries(self)
        self.templates: ports.Templates = MemoryTemplates(self)
        self.models: ports.Models = MemoryModels(self)
        self.crops: ports.Crops = MemoryCrops(self)
        self.changes: ports.Changes = MemoryChanges(self)
        self.keys: ports.Keys = MemoryKeys(self)
        self.erasures: ports.Erasures = MemoryErasures(self)
        self.audit: ports.Audit = MemoryAudit(self, store.scribe)
        self.sightings: ports.Sightings = MemorySightings(self)
        self.identities: ports.IdentityChanges = MemoryIdentityChanges(self)
        self.jobs: ports.Jobs = MemoryJobs(self)
        self.batches: ports.Batches = MemoryBatches(self)
        self.idempotency: ports.Idempotency = MemoryIdempotency(self)
        self.style_jobs: ports.StyleJobs = MemoryStyleJobs(self, store.now)

    def commit(self) -> int:
        """Makes every write visible; the highest seq."""
        self._store.committed = self.rows_to_change()
        self._working = self._store.committed.copy()
        for person_id in self.erased:
            self._store.vault.shred(person_id)
        self.erased.clear()
        return self._store.committed.head()

    def count_keys(self, person_id: str) -> int:
        """How many keys the person has."""
        return self._store.vault.count(person_id)

    def rows(self) -> Rows:
        """What this unit of work sees."""
        return self._store.committed if self._working is None else self._working

    def rows_to_change(self) -> Rows:
        """The same, where writing is allowed; else RuntimeError."""
        if self._working is None:
            raise RuntimeError("a unit of work begun with read() cannot write")
        return self._working
