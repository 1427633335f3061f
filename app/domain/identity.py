"""Who was taken for two, or two for one: merges and splits of persons, and what undoing them needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.person import Person

MERGE, SPLIT = "merge", "split"
# What the ids of these changes begin with, before an underscore.
CHANGE = "chg"


@dataclass(frozen=True, slots=True)
class Before:
    """What undoing needs to know.

    person: whom a merge took away, as it was; whom a split made, as it was made. templates: ids that changed hands.
    galleries: id -> when it was made, of that person's; one that was made anew under the same id is another one.
    joined: what the other person was put into by a merge. seen_at: when the person taken away was last recognized.
    """

    person: Person = field(repr=False)
    templates: tuple[str, ...]
    galleries: Mapping[str, datetime]
    joined: tuple[str, ...] = ()
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IdentityChange:
    """A merge of `person_id` into `other_id`, or a split of `person_id` from `other_id`."""

    id: str
    kind: str
    person_id: str
    other_id: str
    made_at: datetime
    before: Before = field(repr=False)
    undone_at: datetime | None = None

    @property
    def in_other(self) -> bool:
        """Whether `person_id` is not there now, and what was that person's is `other_id`'s."""
        return (self.kind == MERGE) == (self.undone_at is None)
