"""Persons as stored: found, listed, with their templates. Read-only.

Everywhere `within` names the galleries that the caller is bound to: nobody else is there for such a caller.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.gallery import EVERYBODY, Within
from app.domain.particulars import is_id
from app.domain.person import Person, Template
from app.errors import Erased, Merged, OutOfScope, UnknownGallery, UnknownPerson
from app.ports import PersonFilter, Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class Placed:
    """A person and the galleries that the person is in, in order of id; `all` is not named."""

    person: Person
    galleries: tuple[str, ...]


def known_gallery(uow: UnitOfWork, name: str, within: Within = None) -> str:
    """The id of a gallery that exists and that the caller may look into. Raises UnknownGallery."""
    if within is not None and name not in within:
        raise UnknownGallery(f"The key is bound to galleries: name one of {', '.join(sorted(within))}.")
    if name != EVERYBODY and (not is_id(name) or uow.galleries.get(name) is None):
        raise UnknownGallery
    return name


def found(uow: UnitOfWork, person_id: str, within: Within = None) -> Person:
    """The person. Raises Erased for one who was erased, Merged for one who is part of another, or UnknownPerson."""
    if is_id(person_id):
        person = uow.people.get(person_id)
        if person is not None and (within is None or not within.isdisjoint(uow.galleries.of(person_id))):
            return person
        # Whose the receipt is cannot be told any more: who is bound does not hear of it.
        receipt = None if person is not None or within is not None else uow.erasures.get(person_id)
        if receipt is not None and receipt.person_id == person_id:
            raise Erased(person_id)
        into = _heir(uow, person_id) if person is None else None
        if into is not None and (within is None or not within.isdisjoint(uow.galleries.of(into))):
            raise Merged(into)
    raise UnknownPerson


def all_there(uow: UnitOfWork, person_ids: Iterable[str]) -> bool:
    """Whether each of these is enrolled, or is part of somebody who is: nobody was erased."""
    return all(uow.people.get(id_) is not None or _heir(uow, id_) is not None for id_ in person_ids)


def refuse_beyond(uow: UnitOfWork, person_ids: Sequence[str], within: Within, *, also: Iterable[str] = ()) -> None:
    """Raises OutOfScope where these persons are in galleries, or are to be in `also`, that the caller is not bound to.

    Whoever gives a face to somebody gives it whatever that person may open: in every gallery.
    """
    touched = {gallery for galleries in uow.galleries.of_many(person_ids).values() for gallery in galleries}
    if within is not None and not within.issuperset(touched.union(also)):
        raise OutOfScope(
            "persons:write",
            "The key is bound to galleries, and a person concerned is in others too: use a key that is not bound.",
        )


def _heir(uow: UnitOfWork, person_id: str) -> str | None:
    """Who has, in the end, what was that person's."""
    heir: str | None = None
    while (further := uow.identities.went_to(heir or person_id)) is not None:
        heir = further
    return heir


def placed(uow: UnitOfWork, persons: Iterable[Person]) -> list[Placed]:
    """Each person with galleries."""
    persons = list(persons)
    galleries = uow.galleries.of_many([person.id for person in persons])
    return [Placed(person, galleries.get(person.id, ())) for person in persons]


@dataclass(frozen=True, slots=True)
class FindPerson:
    """One person by id. Raises UnknownPerson, Erased."""

    store: Store

    def __call__(self, person_id: str, *, within: Within = None) -> Placed:
        """The person as stored now."""
        with self.store.read() as uow:
            return placed(uow, [found(uow, person_id, within)])[0]


@dataclass(frozen=True, slots=True)
class ListPeople:
    """Persons in order of id."""

    store: Store

    def __call__(
        self,
        *,
        name: str | None = None,
        external_id: str | None = None,
        gallery: str | None = None,
        within: Within = None,
        after: str | None,
        limit: int,
    ) -> Sequence[Placed]:
        """At most `limit` persons behind the id `after`. Raises UnknownGallery."""
        with self.store.read() as uow:
            galleries = within
            if gallery is not None and known_gallery(uow, gallery, within) != EVERYBODY:
                galleries = frozenset({gallery})
            which = PersonFilter(name, external_id, galleries)
            return placed(uow, uow.people.page(which, after=after, limit=limit))


@dataclass(frozen=True, slots=True)
class ListTemplates:
    """A person's templates, oldest first."""

    store: Store

    def __call__(self, person_id: str, *, within: Within = None) -> Sequence[Template]:
        """All of them. Raises UnknownPerson, Erased."""
        with self.store.read() as uow:
            found(uow, person_id, within)
            return uow.templates.of(person_id)
