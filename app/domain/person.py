"""People and their templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.face import Quality, Vector


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled. Times are aware, in UTC; `revision` counts changes and is the ETag."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    revision: int = 1
    external_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    consent: str | None = None
    active: bool = True
    face_opt_out: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def may_match(self) -> bool:
        """Whether a face may be compared with this person at all."""
        return self.active and not self.face_opt_out

    def validity(self, now: datetime) -> str | None:
        """`not_yet_valid`, `expired`, or None while the person is valid."""
        if self.valid_from is not None and now < self.valid_from:
            return "not_yet_valid"
        if self.valid_until is not None and now >= self.valid_until:
            return "expired"
        return None


@dataclass(frozen=True, slots=True)
class Template:
    """One enrolled look at a person: float32 (128,) of unit length, made by `model_id`. The vector is never shown."""

    id: str
    person_id: str
    model_id: str
    quality: Quality
    created_at: datetime
    vector: Vector = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change feed. op: `add`, `remove` or `update`.

    kind: `template`, `person`, `gallery`, `member`, whose id is that of a person whose memberships changed, or `model`,
    whose id is that of the model that is served since.
    """

    seq: int
    kind: str
    id: str
    op: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure removed.

    search_missed: true when the person's own vectors no longer find the person; None when the proving search could not
    run; never true unproved. audit_seq: the row of the audit trail that says so.
    """

    id: str
    person_id: str
    erased_at: datetime
    removed: Mapping[str, int]
    index_seq: int
    search_missed: bool | None = None
    audit_seq: int | None = None
