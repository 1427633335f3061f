"""Rows that say who did what, and who may."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.audit import Anchor, AuditFilter, Entry, Line, Link, Record, Unreadable
from app.domain.audit_check import Chain
from app.domain.key import Key
from app.domain.person import Receipt


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

    def prove(self, erasure_id: str, *, search_missed: bool | None, index_seq: int, snapshots: int) -> None:
        """Writes what the proving search found after the commit, and how many snapshots were deleted then."""
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

    def is_unseen(self, person_id: str, since: datetime) -> bool:
        """Whether `unseen` would name that person now."""
        ...


class Trail(Protocol):
    """Where acts that change no row are written down. Thread-safe."""

    def note(self, entry: Entry) -> None:
        """Queues the entry for the audit trail; never waits, never raises."""
        ...
