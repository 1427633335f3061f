"""What a store in memory holds."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.audit import Anchor, Line
from app.domain.batch import BatchItem
from app.domain.face import Crop, Vector
from app.domain.gallery import NamedGallery
from app.domain.idempotency import Remembered
from app.domain.identity import IdentityChange
from app.domain.job import Job
from app.domain.key import Key
from app.domain.model import Served
from app.domain.person import Change, Person, Receipt, Template
from app.domain.style_job import StyleEvent, StyleJob


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
    served: Served | None = None
    crops: dict[str, Crop] = field(default_factory=dict)
    embedded: dict[tuple[str, str], Vector] = field(default_factory=dict)
    renders: dict[str, StyleJob] = field(default_factory=dict)
    told: dict[tuple[str, int], StyleEvent] = field(default_factory=dict)

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
            served=self.served,
            crops=dict(self.crops),
            embedded=dict(self.embedded),
            renders=dict(self.renders),
            told=dict(self.told),
        )

    def head(self) -> int:
        """The highest seq, 0 before the first."""
        return self.changes[-1].seq if self.changes else 0

    def drop_template(self, template_id: str) -> None:
        """Deletes it with all that is kept beside it, and notes that."""
        del self.templates[template_id]
        self.crops.pop(template_id, None)
        self.embedded = {key: vector for key, vector in self.embedded.items() if key[0] != template_id}
        self.note("template", template_id, "remove")

    def note(self, kind: str, subject_id: str, op: str) -> None:
        """Writes one change to the feed."""
        self.changes.append(Change(self.head() + 1, kind, subject_id, op))


class Transaction(Protocol):
    """What the repositories ask of the unit of work that they belong to."""

    #: Persons whose keys go once the commit is done.
    erased: list[str]

    def count_keys(self, person_id: str) -> int:
        """How many keys the person has."""
        ...

    def rows(self) -> Rows:
        """What this unit of work sees."""
        ...

    def rows_to_change(self) -> Rows:
        """The same, where writing is allowed; else RuntimeError."""
        ...


def oldest_first(rows: Rows, person_id: str) -> list[Template]:
    """The person's templates."""
    theirs = (template for template in rows.templates.values() if template.person_id == person_id)
    return sorted(theirs, key=lambda template: (template.created_at, template.id))
