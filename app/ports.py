"""What the actions need from outside, as Protocols. Adapters fit them without inheriting from them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from app.domain.face import Reading, Vector
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


class Gallery(Protocol):
    """The index of the active model, kept in step with the rows (DESIGN, rule 2). Thread-safe."""

    @property
    def seq(self) -> int:
        """The last change that was applied."""
        ...

    def catch_up(self) -> int:
        """Applies every committed change; the seq reached."""
        ...

    def size(self) -> tuple[int, int]:
        """(persons, templates) held."""
        ...

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest templates, closest first. Does not catch up by itself."""
        ...

    def holds_any(self, template_ids: Sequence[str]) -> bool:
        """Whether any of these templates is still held."""
        ...


@dataclass(frozen=True, slots=True)
class PersonFilter:
    """Which persons a list shows: exact external_id, part of the name whatever its case; None: all."""

    name: str | None = None
    external_id: str | None = None


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

    def erase(self, person_id: str) -> int:
        """Deletes the person and all templates for good; how many templates. Raises UnknownPerson.

        The id stays taken. Writes `template remove` for each template and `person remove` to the feed.
        """
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

    def remove(self, person_id: str, template_id: str) -> bool:
        """Deletes for good, and writes a change `template remove`; False when there is no such row."""
        ...

    def count(self) -> int:
        """Number of templates of all models."""
        ...

    def models(self) -> frozenset[str]:
        """The model ids that templates were made by."""
        ...


class Changes(Protocol):
    """The change feed: rows are written by the other repositories in the transaction of the change itself."""

    def head(self) -> int:
        """The highest seq that is committed, 0 before the first."""
        ...

    def since(self, seq: int, limit: int) -> list[Change]:
        """Changes after `seq`, in order, at most `limit`."""
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


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit()` rolls back; after `commit()` every write is on disk."""

    people: People
    templates: Templates
    changes: Changes
    keys: Keys
    erasures: Erasures

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
