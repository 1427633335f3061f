"""Rows of persons, of what belongs to them, and of what changed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.gallery import NamedGallery
from app.domain.identity import IdentityChange
from app.domain.person import Change, Person, Template


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
