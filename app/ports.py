"""What the actions need from outside, as Protocols. Adapters fit them without inheriting from them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from app.domain.audit import Anchor, AuditFilter, Entry, Line, Link, Record, Unreadable
from app.domain.audit_check import Chain
from app.domain.batch import BatchItem, Outcome, Place
from app.domain.face import Reading, Vector
from app.domain.gallery import EVERYBODY, NamedGallery
from app.domain.idempotency import Remembered
from app.domain.identity import IdentityChange
from app.domain.job import Job, Status
from app.domain.key import Key
from app.domain.person import Change, Person, Receipt, Template

Wanted = Literal["none", "main", "all"]


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


class Identifiers(Protocol):
    """Where ids and secrets come from."""

    def new(self, prefix: str) -> str:
        """A fresh id `<prefix>_<20 characters>`; ids made later sort later."""
        ...

    def secret(self) -> str:
        """A fresh secret of 256 bits, URL-safe text."""
        ...


class FaceReader(Protocol):
    """Pictures -> faces. Thread-safe; blocks the calling thread until the picture was read."""

    @property
    def model_id(self) -> str:
        """Digest of the weights and of the preprocessing that make the embeddings."""
        ...

    def read(self, image: bytes, *, encode: Wanted = "main", thorough: bool = False) -> Reading:
        """Finds and, as `encode` says, encodes the faces of one picture; the main face comes first.

        thorough: look at full size for small faces too, where otherwise one clear face ends the search.
        Raises the ImageRefused errors, Busy when the queue is full, ShuttingDown.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A template found by a search, with its similarity in [-1, 1]."""

    template_id: str
    similarity: float


class VectorIndex(Protocol):
    """Unit vectors by template id. Thread-safe. It is derived from rows and may be dropped at any time."""

    def __len__(self) -> int:
        """Number of vectors held."""
        ...

    def __contains__(self, template_id: str) -> bool:
        """Whether that template is held."""
        ...

    def add(self, template_ids: Sequence[str], vectors: Vector) -> None:
        """Adds float32 (n, 128), rows of unit length; an id that is held already gets the new vector."""
        ...

    def remove(self, template_ids: Sequence[str]) -> int:
        """Removes what is held of these; how many that were."""
        ...

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest to float32 (128,), closest first; fewer when fewer are held."""
        ...

    def search_many(self, vectors: Vector, k: int) -> list[list[Hit]]:
        """The same for each of float32 (n, 128), exactly and at less cost; single searches come in between."""
        ...

    def held(self) -> tuple[list[str], Vector]:
        """Every id, and an own copy of the vectors, float32 (n, 128), in the same order: of one moment."""
        ...


class Gallery(Protocol):
    """The index of the active model, kept in step with the rows (DESIGN, rule 2). Thread-safe."""

    @property
    def seq(self) -> int:
        """The last change that was applied."""
        ...

    def catch_up(self) -> int:
        """Applies every committed change; the seq reached."""
        ...

    def size(self, gallery: str = EVERYBODY) -> tuple[int, int]:
        """(persons, templates) held in that gallery; (0, 0) where there is no such gallery."""
        ...

    def search(self, vector: Vector, k: int, gallery: str = EVERYBODY) -> list[Hit]:
        """The k closest templates of that gallery, closest first; exact. Does not catch up by itself."""
        ...

    def holds_any(self, template_ids: Sequence[str]) -> bool:
        """Whether any of these templates is still held."""
        ...

    def drop_snapshot(self) -> int:
        """Deletes what is kept on disk to start faster; how many files that were. The rows are the truth without it."""
        ...


@dataclass(frozen=True, slots=True)
class PersonFilter:
    """Which persons a list shows; None: all.

    name: part of it, whatever its case; external_id: exact; galleries: members of any of these.
    """

    name: str | None = None
    external_id: str | None = None
    galleries: frozenset[str] | None = None


class People(Protocol):
    """Rows of persons."""

    def add(self, person: Person) -> None:
        """Inserts. Raises PersonExists when the id is taken or was erased."""
        ...

    def get(self, person_id: str) -> Person | None:
        """The person, or None."""
        ...

    def owners(self, template_ids: Sequence[str]) -> dict[str, Person]:
        """Template id -> person, for those templates that still have a row."""
        ...

    def replace(self, person: Person) -> None:
        """Writes every field. The row must still have the revision before `person.revision`; else raises Stale.

        Raises UnknownPerson when there is no such row. Writes a change `person update`.
        """
        ...

    def page(self, which: PersonFilter, *, after: str | None, limit: int) -> list[Person]:
        """At most `limit` persons in order of id, those behind the id `after`."""
        ...

    def count(self) -> int:
        """Number of persons."""
        ...

    def keys(self, person_id: str) -> int:
        """How many keys there are that what is stored of the person is sealed with."""
        ...

    def erase(self, person_id: str) -> int:
        """Deletes the person and all templates for good; how many templates. Raises UnknownPerson.

        The id stays taken. Writes `template remove` for each template and `person remove` to the feed. The person's
        keys are destroyed once that is committed; should that fail, the next erasure or start does it.
        """
        ...

    def withdraw(self, person_id: str) -> None:
        """Deletes a person who has no template any more, with memberships and sightings. Raises UnknownPerson.

        The id stays taken, but for `restore`. Writes a change `person remove`.
        """
        ...

    def restore(self, person: Person) -> None:
        """Inserts somebody who was withdrawn, every field as given, and writes a change `person add`.

        Raises PersonExists when somebody has the id.
        """
        ...


class Galleries(Protocol):
    """Rows of galleries and memberships; the gallery `all` has none. Each change goes into the feed."""

    def add(self, gallery: NamedGallery) -> None:
        """Inserts. Raises GalleryExists."""
        ...

    def get(self, gallery_id: str) -> NamedGallery | None:
        """The gallery, or None."""
        ...

    def page(self, *, after: str | None, limit: int) -> list[NamedGallery]:
        """At most `limit` galleries in order of id, those behind the id `after`."""
        ...

    def remove(self, gallery_id: str) -> int:
        """Deletes the gallery, not the persons in it; how many members it had. Raises UnknownGallery."""
        ...

    def join(self, gallery_id: str, person_id: str) -> bool:
        """Makes the person a member; False for one who is. Raises UnknownGallery, UnknownPerson."""
        ...

    def leave(self, gallery_id: str, person_id: str) -> bool:
        """Ends the membership; False where there is none."""
        ...

    def of(self, person_id: str) -> tuple[str, ...]:
        """The galleries of that person, in order of id."""
        ...

    def of_many(self, person_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Person id -> galleries in order of id, for those of these persons who are in any."""
        ...

    def members(self, gallery_id: str, *, after: str | None, limit: int) -> list[str]:
        """At most `limit` person ids in order, those behind `after`."""
        ...

    def memberships(self) -> Iterator[tuple[str, str]]:
        """Every (gallery id, person id), read in pieces."""
        ...

    def count_members(self, gallery_id: str) -> int:
        """How many persons are in it."""
        ...


class Templates(Protocol):
    """Rows of templates; vectors are sealed at rest. Reading raises Corrupt when one cannot be opened.

    Where `unreadable` is given, such rows are left out instead, and it is called with the id of each.
    """

    def add(self, template: Template) -> None:
        """Inserts, and writes a change `template add`. Raises UnknownPerson when its person has no row."""
        ...

    def of(self, person_id: str) -> list[Template]:
        """The person's templates, oldest first."""
        ...

    def with_ids(
        self, template_ids: Sequence[str], *, unreadable: Callable[[str], object] | None = None
    ) -> list[Template]:
        """Those of these templates that still have a row."""
        ...

    def of_model(self, model_id: str, *, unreadable: Callable[[str], object] | None = None) -> Iterator[Template]:
        """Every template of that model, read in pieces."""
        ...

    def owners_of_model(self, model_id: str) -> Iterator[tuple[str, str]]:
        """(template id, person id) of every template of that model in order of id, read in pieces; opens none."""
        ...

    def remove(self, person_id: str, template_id: str) -> bool:
        """Deletes for good, and writes a change `template remove`; False when there is no such row."""
        ...

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        """Gives them to that person, sealed anew, and writes a change `template update` for each.

        Raises UnknownTemplate, UnknownPerson; Corrupt when one cannot be opened.
        """
        ...

    def count(self) -> int:
        """Number of templates of all models."""
        ...

    def models(self) -> frozenset[str]:
        """The model ids that templates were made by."""
        ...


class IdentityChanges(Protocol):
    """Rows of merges and splits; what undoing them needs is sealed under a key of `other_id`."""

    def add(self, change: IdentityChange) -> None:
        """Inserts."""
        ...

    def get(self, change_id: str) -> IdentityChange | None:
        """The change, or None. Raises Corrupt."""
        ...

    def of(self, person_id: str) -> list[IdentityChange]:
        """Those that the person had a part in, oldest first. Raises Corrupt."""
        ...

    def mark_undone(self, change_id: str, at: datetime) -> None:
        """Notes when it was undone. Raises UnknownIdentityChange where there is none that could be."""
        ...

    def went_to(self, person_id: str) -> str | None:
        """Who has what was this person's; None for somebody who is there, or never was."""
        ...

    def absorbed(self, person_id: str) -> tuple[str, ...]:
        """Whose templates went to that person, directly or over others."""
        ...


class Changes(Protocol):
    """The change feed: rows are written by the other repositories in the transaction of the change itself."""

    def head(self) -> int:
        """The highest seq that is committed, 0 before the first."""
        ...

    def since(self, seq: int, limit: int) -> list[Change]:
        """Changes after `seq`, in order, at most `limit`. There may be gaps between them."""
        ...

    def epoch(self) -> int:
        """Which history the seqs belong to, as of the last query; another after a failover."""
        ...


class Keys(Protocol):
    """Rows of API keys."""

    def add(self, key: Key) -> None:
        """Inserts."""
        ...

    def get(self, key_id: str) -> Key | None:
        """The key, revoked or not, or None."""
        ...

    def page(self, *, after: str | None, limit: int) -> list[Key]:
        """At most `limit` keys in order of id, those behind the id `after`."""
        ...

    def revoke(self, key_id: str, at: datetime) -> None:
        """Marks the key as revoked. Raises UnknownKey."""
        ...

    def count(self) -> int:
        """Number of keys, revoked ones included."""
        ...


class Erasures(Protocol):
    """Receipts of erasures; they hold ids and counts, nothing of the person."""

    def add(self, receipt: Receipt) -> None:
        """Inserts."""
        ...

    def get(self, erasure_or_person_id: str) -> Receipt | None:
        """By the receipt's own id or by the person's."""
        ...

    def prove(self, erasure_id: str, *, search_missed: bool | None, index_seq: int) -> None:
        """Writes what the proving search found after the commit."""
        ...


class Audit(Protocol):
    """Rows of the audit trail: added at its end, let go from its front, and never changed."""

    @property
    def chain(self) -> Chain:
        """What chains the rows and signs places in the chain."""
        ...

    def append(self, *entries: Entry) -> int:
        """Adds the entries in order, sealed and chained; the seq of the last row there is."""
        ...

    def last(self) -> Link:
        """The last row, or where the trail begins while it has none."""
        ...

    def anchor(self) -> Anchor | None:
        """Where the trail begins, or None while no row was let go."""
        ...

    def lines(self, after: int, limit: int) -> Sequence[Line | Unreadable]:
        """At most `limit` rows behind the seq `after`, in order, as they were at one moment."""
        ...

    def page(self, which: AuditFilter, *, before: int | None, limit: int) -> list[Record]:
        """At most `limit` rows, newest first, those before the seq `before`, opened where their keys are there."""
        ...

    def let_go(self, anchor: Anchor) -> int:
        """Deletes the rows up to the anchor, which stands for them; how many. RuntimeError where it lies behind."""
        ...


class Sightings(Protocol):
    """When persons were last recognized."""

    def note(self, seen: Mapping[str, datetime]) -> None:
        """Person id -> when. The latest time counts; who has no row any more is passed over."""
        ...

    def last(self, person_id: str) -> datetime | None:
        """When that person was last recognized, or None."""
        ...

    def unseen(self, since: datetime, *, after: str | None, limit: int) -> list[str]:
        """Ids of persons not seen, nor enrolled, nor given a template, nor changed since, in order, behind `after`."""
        ...


class Trail(Protocol):
    """Where acts that change no row are written down. Thread-safe."""

    def note(self, entry: Entry) -> None:
        """Queues the entry for the audit trail; never waits, never raises."""
        ...


class Idempotency(Protocol):
    """Rows of requests that may be sent again."""

    def get(self, record_id: str) -> Remembered | None:
        """The record, whether it still counts or not, or None."""
        ...

    def start(self, record: Remembered) -> None:
        """Writes it in place of any that has its id."""
        ...

    def finish(self, record: Remembered, person_ids: Sequence[str]) -> bool:
        """Keeps the answer in `record`, and whom it tells of; False where another attempt took over."""
        ...

    def forget(self, record: Remembered) -> None:
        """Deletes it, unless another attempt took over."""
        ...

    def forget_person(self, person_id: str) -> int:
        """Deletes every record whose answer tells of that person; how many."""
        ...

    def count_person(self, person_id: str) -> int:
        """How many records tell of that person."""
        ...

    def sweep(self, now: datetime) -> int:
        """Deletes what has expired; how many."""
        ...


class Jobs(Protocol):
    """Rows of jobs. Whoever works on one writes with the token of the attempt: what answers False was not written."""

    def add(self, job: Job) -> None:
        """Inserts."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        ...

    def of(self, owner: str, kind: str, digest: str) -> Job | None:
        """That owner's job of that content, or None."""
        ...

    def waiting(self, kind: str, among: Sequence[str], now: datetime) -> bool:
        """Whether `claim` would find one; asks without writing."""
        ...

    def claim(self, kind: str, among: Sequence[str], *, token: str, now: datetime, until: datetime) -> Job | None:
        """Begins an attempt at the oldest of these ids that is queued, or was left by whoever worked on it."""
        ...

    def beat(self, job_id: str, token: str, until: datetime) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        ...

    def advance(self, job_id: str, token: str) -> bool:
        """Counts one step; False where the attempt has lost the job."""
        ...

    def release(self, job_id: str, token: str) -> bool:
        """Queues it again for whoever comes next, as if this attempt had not been made."""
        ...

    def end(
        self,
        job_id: str,
        status: Status,
        *,
        token: str | None,
        at: datetime,
        expires_at: datetime,
        error: dict[str, Any] | None = None,
    ) -> bool:
        """Ends it; `token` as its row has it, None for one that is queued. False where the row has another by now."""
        ...

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        ...

    def go_on(self, job_id: str, expires_at: datetime) -> None:
        """Queues it again, its attempts counted from none; one that is worked on just goes on, uncancelled."""
        ...

    def count_anew(self, job_id: str, step: int, steps: int) -> None:
        """Writes how many steps there are and how many are done."""
        ...

    def given_up(self, kind: str, now: datetime) -> list[Job]:
        """Those that nobody will begin again: left when cancelled, left too often, or not ended when they expired."""
        ...

    def forget(self, kind: str, now: datetime) -> list[str]:
        """Deletes those that ended and have expired, with their items; their ids."""
        ...


class Batches(Protocol):
    """Rows of the items of bulk enrolments, by job and number."""

    def add(self, job_id: str, items: Iterable[BatchItem]) -> None:
        """Inserts."""
        ...

    def page(self, job_id: str, *, status: str | None, after: int, limit: int) -> list[BatchItem]:
        """At most `limit` items in order of number, those behind the number `after`; all of them or of one status."""
        ...

    def counts(self, job_id: str) -> dict[str, int]:
        """Status -> how many items have it; those of none are left out."""
        ...

    def status(self, job_id: str, number: int) -> str | None:
        """The status of one item, or None."""
        ...

    def settle(self, job_id: str, number: int, outcome: Outcome) -> bool:
        """Writes what became of an item; False where it is not pending any more."""
        ...

    def of(self, person_id: str) -> list[tuple[str, BatchItem]]:
        """(job id, item) of every item that names that person."""
        ...

    def enrolled_as(self, job_id: str, person: int) -> str | None:
        """The id of whom an item of that person of the batch was enrolled as, or None."""
        ...

    def numbers(self, job_id: str, status: str) -> set[int]:
        """The numbers of the items of that status."""
        ...

    def renew(self, job_id: str, items: Sequence[BatchItem]) -> None:
        """Makes every item that is neither stored as a template nor erased what `items` has it as."""
        ...

    def erase(self, person_id: str) -> int:
        """Blanks every item of that person, before the person's own rows are deleted; how many photos those were.

        Theirs are all photos of a folder of which any was stored for that person, those that still wait too; those
        that wait in a folder named as the external_id; and those refused because they look like that person.
        """
        ...

    def erased_places(self, job_id: str) -> dict[int, Place]:
        """Number -> where the photo lies, for items of the erased whose place in the file was not blanked yet."""
        ...

    def forget_places(self, job_id: str, numbers: Collection[int]) -> None:
        """Notes that nothing lies there any more."""
        ...

    def note_photo(self, template_id: str, digest: str) -> None:
        """Remembers which photo became that template; forgotten with the template."""
        ...

    def known_photo(self, digest: str) -> tuple[str, str] | None:
        """(template id, person id) of what that photo became, or None."""
        ...


class Draft(Protocol):
    """An upload on its way, one thread at a time; nothing is begun before it is whole."""

    @property
    def digest(self) -> str:
        """SHA-256 of what was written so far, hexadecimal."""
        ...

    def write(self, chunk: bytes) -> None:
        """Appends. Raises OSError, such as for a disk that is full."""
        ...

    def items(self) -> Sequence[BatchItem]:
        """What it holds, always the same for the same content. Raises UnreadableBatch, BatchTooLarge."""
        ...

    def keep(self, job_id: str, without: Collection[Place] = ()) -> None:
        """Becomes the file of that job, with those places blank; on the disk when this returns."""
        ...

    def discard(self) -> None:
        """Deletes it; harmless after `keep`."""
        ...


class Spool(Protocol):
    """The files of batches that have not ended, by job id; nobody else may read them."""

    def draft(self, form: Literal["zip", "lines"]) -> Draft:
        """A file for an upload that begins now."""
        ...

    def held(self) -> list[str]:
        """The jobs whose file lies here."""
        ...

    def read(self, job_id: str, place: Place) -> bytes:
        """The photo, or the line, at that place. Raises UnreadableEntry, and FileNotFoundError without a file."""
        ...

    def blank(self, job_id: str, places: Iterable[Place]) -> None:
        """Overwrites those places with zeros; they are gone from the disk when this returns."""
        ...

    def remove(self, job_id: str) -> bool:
        """Deletes the file; False where there is none."""
        ...

    def sweep(self, older_than_s: float) -> list[str]:
        """Deletes uploads that were broken off that long ago; the jobs of which a file of that age lies here."""
        ...


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit()` rolls back; after `commit()` every write is on disk."""

    people: People
    galleries: Galleries
    templates: Templates
    changes: Changes
    keys: Keys
    erasures: Erasures
    jobs: Jobs
    batches: Batches
    idempotency: Idempotency
    audit: Audit
    sightings: Sightings
    identities: IdentityChanges

    def commit(self) -> int:
        """Commits, durably; the highest seq of the change feed at that moment."""
        ...


class Store(Protocol):
    """Where units of work begin."""

    def write(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that may write; writers wait for each other."""
        ...

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """A kept connection for reading; each query sees what is committed at that moment."""
        ...
