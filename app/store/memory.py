"""The published fake of the store: the same promises as SQL, in a dictionary, gone when the process ends."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from app import ports
from app.domain.audit import Anchor, Line
from app.domain.batch import BatchItem
from app.domain.gallery import NamedGallery
from app.domain.idempotency import Remembered
from app.domain.identity import IdentityChange
from app.domain.job import Job
from app.domain.key import Key
from app.domain.person import Change, Person, Receipt, Template
from app.errors import Busy, PersonExists, Stale, UnknownErasure, UnknownKey, UnknownPerson, UnknownTemplate
from app.store.chain import HmacChain
from app.store.memory_audit import MemoryAudit, MemorySightings
from app.store.memory_batches import MemoryBatches
from app.store.memory_galleries import MemoryGalleries
from app.store.memory_idempotency import MemoryIdempotency
from app.store.memory_identities import MemoryIdentityChanges, forget_changes
from app.store.memory_jobs import MemoryJobs
from app.store.memory_vault import MemoryVault
from app.store.names import folded
from app.store.scribe import Scribe


class MemoryStore:
    """Fits `ports.Store`. Thread-safe: one writer at a time, readers see the last commit and never wait."""

    def __init__(self, *, write_timeout_s: float = 10.0, vault: MemoryVault | None = None) -> None:
        self.vault = vault or MemoryVault()
        self.scribe = Scribe(self.vault, HmacChain(self.vault.secret("audit")))
        self._writer = threading.Lock()
        self._write_timeout_s = write_timeout_s
        self.committed = Rows()

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


@dataclass(slots=True)
class Rows:
    """Everything that is stored. What is committed is never changed in place, so that readers need no lock."""

    persons: dict[str, Person] = field(default_factory=dict)
    erased_ids: set[str] = field(default_factory=set)
    galleries: dict[str, NamedGallery] = field(default_factory=dict)
    members: set[tuple[str, str]] = field(default_factory=set)
    templates: dict[str, Template] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    keys: dict[str, Key] = field(default_factory=dict)
    erasures: dict[str, Receipt] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    items: dict[tuple[str, int], BatchItem] = field(default_factory=dict)
    enrolled_photos: dict[str, str] = field(default_factory=dict)
    remembered: dict[str, tuple[Remembered, frozenset[str]]] = field(default_factory=dict)
    audit: list[Line] = field(default_factory=list)
    anchor: Anchor | None = None
    sightings: dict[str, datetime] = field(default_factory=dict)
    identities: dict[str, IdentityChange] = field(default_factory=dict)

    def copy(self) -> "Rows":
        """The same rows in containers of their own."""
        return Rows(
            dict(self.persons),
            set(self.erased_ids),
            dict(self.galleries),
            set(self.members),
            dict(self.templates),
            list(self.changes),
            dict(self.keys),
            dict(self.erasures),
            dict(self.jobs),
            dict(self.items),
            dict(self.enrolled_photos),
            dict(self.remembered),
            audit=list(self.audit),
            anchor=self.anchor,
            sightings=dict(self.sightings),
            identities=dict(self.identities),
        )

    def head(self) -> int:
        """The highest seq, 0 before the first."""
        return self.changes[-1].seq if self.changes else 0

    def note(self, kind: str, subject_id: str, op: str) -> None:
        """Writes one change to the feed."""
        self.changes.append(Change(self.head() + 1, kind, subject_id, op))


class MemoryUnitOfWork:
    """Fits `ports.UnitOfWork`; `working` is None where nothing may be written."""

    def __init__(self, store: MemoryStore, working: Rows | None) -> None:
        self._store = store
        self._working = working
        #: Persons whose keys go once the commit is done.
        self.erased: list[str] = []
        self.people: ports.People = _People(self)
        self.galleries: ports.Galleries = MemoryGalleries(self)
        self.templates: ports.Templates = _Templates(self)
        self.changes: ports.Changes = _Changes(self)
        self.keys: ports.Keys = _Keys(self)
        self.erasures: ports.Erasures = _Erasures(self)
        self.audit: ports.Audit = MemoryAudit(self, store.scribe)
        self.sightings: ports.Sightings = MemorySightings(self)
        self.identities: ports.IdentityChanges = MemoryIdentityChanges(self)
        self.jobs: ports.Jobs = MemoryJobs(self)
        self.batches: ports.Batches = MemoryBatches(self)
        self.idempotency: ports.Idempotency = MemoryIdempotency(self)

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


class _Repository:
    def __init__(self, uow: MemoryUnitOfWork) -> None:
        self._uow = uow


class _People(_Repository):
    def add(self, person: Person) -> None:
        rows = self._uow.rows_to_change()
        if person.id in rows.persons or person.id in rows.erased_ids:
            raise PersonExists
        if any(change.person_id == person.id for change in rows.identities.values()):
            raise PersonExists
        rows.persons[person.id] = _own_person(person)

    def get(self, person_id: str) -> Person | None:
        person = self._uow.rows().persons.get(person_id)
        return None if person is None else _own_person(person)

    def owners(self, template_ids: Sequence[str]) -> dict[str, Person]:
        rows = self._uow.rows()
        held = (rows.templates[id_] for id_ in template_ids if id_ in rows.templates)
        return {template.id: _own_person(rows.persons[template.person_id]) for template in held}

    def replace(self, person: Person) -> None:
        rows = self._uow.rows_to_change()
        stored = rows.persons.get(person.id)
        if stored is None:
            raise UnknownPerson
        if stored.revision != person.revision - 1:
            raise Stale
        rows.persons[person.id] = _own_person(person)
        rows.note("person", person.id, "update")

    def page(self, which: ports.PersonFilter, *, after: str | None, limit: int) -> list[Person]:
        rows = self._uow.rows()
        found = (rows.persons[id_] for id_ in sorted(rows.persons) if after is None or id_ > after)
        return [_own_person(person) for person in found if _fits(person, which, rows.members)][:limit]

    def count(self) -> int:
        return len(self._uow.rows().persons)

    def keys(self, person_id: str) -> int:
        return self._uow.count_keys(person_id)

    def erase(self, person_id: str) -> int:
        rows = self._uow.rows_to_change()
        if rows.persons.pop(person_id, None) is None:
            raise UnknownPerson
        theirs = [template.id for template in _oldest_first(rows, person_id)]
        for template_id in theirs:
            del rows.templates[template_id]
            rows.note("template", template_id, "remove")
        rows.members = {pair for pair in rows.members if pair[1] != person_id}
        rows.sightings.pop(person_id, None)
        rows.note("person", person_id, "remove")
        gone = (person_id, *forget_changes(rows.identities, person_id))
        rows.erased_ids |= set(gone)
        self._uow.erased.extend(gone)
        return len(theirs)

    def withdraw(self, person_id: str) -> None:
        rows = self._uow.rows_to_change()
        if _oldest_first(rows, person_id):
            raise RuntimeError("a person who has templates cannot be withdrawn")
        if rows.persons.pop(person_id, None) is None:
            raise UnknownPerson
        rows.members = {pair for pair in rows.members if pair[1] != person_id}
        rows.sightings.pop(person_id, None)
        rows.note("person", person_id, "remove")

    def restore(self, person: Person) -> None:
        rows = self._uow.rows_to_change()
        if person.id in rows.persons or person.id in rows.erased_ids:
            raise PersonExists
        rows.persons[person.id] = _own_person(person)
        rows.note("person", person.id, "add")


class _Templates(_Repository):
    def add(self, template: Template) -> None:
        rows = self._uow.rows_to_change()
        if template.person_id not in rows.persons:
            raise UnknownPerson
        if template.id in rows.templates:
            raise RuntimeError(f"there is a template {template.id} already")
        vector = np.array(template.vector, np.float32)
        vector.flags.writeable = False
        rows.templates[template.id] = replace(template, vector=vector)
        rows.note("template", template.id, "add")

    def of(self, person_id: str) -> list[Template]:
        return _oldest_first(self._uow.rows(), person_id)

    # Nothing is sealed here, and so nothing is ever `unreadable`.
    def with_ids(
        self, template_ids: Sequence[str], *, unreadable: Callable[[str], object] | None = None
    ) -> list[Template]:
        held = self._uow.rows().templates
        return [held[id_] for id_ in dict.fromkeys(template_ids) if id_ in held]

    def of_model(self, model_id: str, *, unreadable: Callable[[str], object] | None = None) -> Iterator[Template]:
        return iter([t for t in self._uow.rows().templates.values() if t.model_id == model_id])

    def owners_of_model(self, model_id: str) -> Iterator[tuple[str, str]]:
        held = self._uow.rows().templates
        return iter([(id_, held[id_].person_id) for id_ in sorted(held) if held[id_].model_id == model_id])

    def remove(self, person_id: str, template_id: str) -> bool:
        rows = self._uow.rows_to_change()
        template = rows.templates.get(template_id)
        if template is None or template.person_id != person_id:
            return False
        del rows.templates[template_id]
        rows.note("template", template_id, "remove")
        return True

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        rows = self._uow.rows_to_change()
        if to_person_id not in rows.persons:
            raise UnknownPerson
        for template_id in template_ids:
            if template_id not in rows.templates:
                raise UnknownTemplate
            rows.templates[template_id] = replace(rows.templates[template_id], person_id=to_person_id)
            rows.note("template", template_id, "update")

    def count(self) -> int:
        return len(self._uow.rows().templates)

    def models(self) -> frozenset[str]:
        return frozenset(template.model_id for template in self._uow.rows().templates.values())


class _Changes(_Repository):
    def head(self) -> int:
        return self._uow.rows().head()

    def since(self, seq: int, limit: int) -> list[Change]:
        # The feed has no gaps here, so that seq n lies at place n - 1.
        return self._uow.rows().changes[seq : seq + limit]

    def epoch(self) -> int:
        return 0


class _Keys(_Repository):
    def add(self, key: Key) -> None:
        keys = self._uow.rows_to_change().keys
        if key.id in keys:
            raise RuntimeError(f"there is a key {key.id} already")
        keys[key.id] = key

    def get(self, key_id: str) -> Key | None:
        return self._uow.rows().keys.get(key_id)

    def page(self, *, after: str | None, limit: int) -> list[Key]:
        keys = self._uow.rows().keys
        return [keys[id_] for id_ in sorted(keys) if after is None or id_ > after][:limit]

    def revoke(self, key_id: str, at: datetime) -> None:
        keys = self._uow.rows_to_change().keys
        if key_id not in keys:
            raise UnknownKey
        if keys[key_id].revoked_at is None:
            keys[key_id] = replace(keys[key_id], revoked_at=at)

    def count(self) -> int:
        return len(self._uow.rows().keys)


class _Erasures(_Repository):
    def add(self, receipt: Receipt) -> None:
        erasures = self._uow.rows_to_change().erasures
        if receipt.id in erasures or any(receipt.person_id == r.person_id for r in erasures.values()):
            raise RuntimeError(f"there is a receipt {receipt.id}, or one for its person, already")
        erasures[receipt.id] = replace(receipt, removed=dict(receipt.removed))

    def get(self, erasure_or_person_id: str) -> Receipt | None:
        for receipt in self._uow.rows().erasures.values():
            if erasure_or_person_id in (receipt.id, receipt.person_id):
                return replace(receipt, removed=dict(receipt.removed))
        return None

    def prove(self, erasure_id: str, *, search_missed: bool | None, index_seq: int) -> None:
        erasures = self._uow.rows_to_change().erasures
        if erasure_id not in erasures:
            raise UnknownErasure
        erasures[erasure_id] = replace(erasures[erasure_id], search_missed=search_missed, index_seq=index_seq)


def _own_person(person: Person) -> Person:
    # Through JSON, as in SQL: what cannot be stored there is refused here too, and no caller shares a dictionary.
    return replace(person, metadata=json.loads(json.dumps(dict(person.metadata))), groups=tuple(person.groups))


def _fits(person: Person, which: ports.PersonFilter, members: set[tuple[str, str]]) -> bool:
    if which.galleries is not None and not any((gallery, person.id) in members for gallery in which.galleries):
        return False
    if which.external_id is not None and person.external_id != which.external_id:
        return False
    return which.name is None or folded(which.name) in folded(person.name)


def _oldest_first(rows: Rows, person_id: str) -> list[Template]:
    theirs = (template for template in rows.templates.values() if template.person_id == person_id)
    return sorted(theirs, key=lambda template: (template.created_at, template.id))
