"""Persons as stored: found, listed, with their templates. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.particulars import is_id
from app.domain.person import Person, Template
from app.errors import Erased, UnknownGallery, UnknownPerson
from app.ports import PersonFilter, Store, UnitOfWork

EVERYBODY = "all"


def known_gallery(name: str) -> str:
    """The name of a gallery that exists. Raises UnknownGallery."""
    if name != EVERYBODY:
        raise UnknownGallery(f"There is no such gallery; `{EVERYBODY}` holds everybody.")
    return name


def found(uow: UnitOfWork, person_id: str) -> Person:
    """The person. Raises Erased for one who was erased, UnknownPerson for one who never was."""
    if is_id(person_id):
        person = uow.people.get(person_id)
        if person is not None:
            return person
        receipt = uow.erasures.get(person_id)
        if receipt is not None and receipt.person_id == person_id:
            raise Erased(person_id)
    raise UnknownPerson


@dataclass(frozen=True, slots=True)
class FindPerson:
    """One person by id. Raises UnknownPerson, Erased."""

    store: Store

    def __call__(self, person_id: str) -> Person:
        """The person as stored now."""
        with self.store.read() as uow:
            return found(uow, person_id)


@dataclass(frozen=True, slots=True)
class ListPeople:
    """Persons in order of id."""

    store: Store

    def __call__(self, which: PersonFilter, *, gallery: str | None, after: str | None, limit: int) -> Sequence[Person]:
        """At most `limit` persons behind the id `after`. Raises UnknownGallery."""
        if gallery is not None:
            known_gallery(gallery)
        with self.store.read() as uow:
            return uow.people.page(which, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class ListTemplates:
    """A person's templates, oldest first."""

    store: Store

    def __call__(self, person_id: str) -> Sequence[Template]:
        """All of them. Raises UnknownPerson, Erased."""
        with self.store.read() as uow:
            found(uow, person_id)
            return uow.templates.of(person_id)
