"""The audit trail and sightings in memory: part of the published fake of the store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from app.domain.audit import GENESIS, Anchor, AuditFilter, Entry, Line, Link, Record, Unreadable
from app.domain.audit_check import Chain
from app.store.audit.scribe import Scribe
from app.store.memory.rows import Transaction


class MemoryAudit:
    """Fits `ports.Audit`. It seals and chains as SQL does."""

    def __init__(self, uow: Transaction, scribe: Scribe) -> None:
        self._uow = uow
        self._scribe = scribe

    @property
    def chain(self) -> Chain:
        """What chains the rows and signs heads."""
        return self._scribe.chain

    def append(self, *entries: Entry) -> int:
        """Adds the entries, in order; the seq of the last row there is."""
        rows, last = self._uow.rows_to_change(), self.last()
        rows.audit.extend(self._scribe.lines(entries, last))
        return rows.audit[-1].seq if rows.audit else last.seq

    def last(self) -> Link:
        """The last row, or where the trail begins while it has none."""
        rows = self._uow.rows()
        held = rows.audit[-1] if rows.audit else rows.anchor
        return Link(0, GENESIS) if held is None else Link(held.seq, held.mac)

    def anchor(self) -> Anchor | None:
        """Where the trail begins, or None while no row was let go."""
        return self._uow.rows().anchor

    def lines(self, after: int, limit: int) -> Sequence[Line | Unreadable]:
        """At most `limit` rows behind the seq `after`, in order."""
        return [line for line in self._uow.rows().audit if line.seq > after][:limit]

    def page(self, which: AuditFilter, *, before: int | None, limit: int) -> list[Record]:
        """At most `limit` rows, newest first, those before the seq `before`."""
        subject = None
        if which.person_id is not None:
            subject = self._scribe.subject(which.person_id)
            if subject is None:
                return []
        rows = reversed(self._uow.rows().audit)
        found = (line for line in rows if before is None or line.seq < before)
        return self._scribe.records(list(islice((line for line in found if _fits(line, which, subject)), limit)))

    def let_go(self, anchor: Anchor) -> int:
        """Deletes the rows up to the anchor, which stands for them; how many. RuntimeError where it lies behind."""
        rows = self._uow.rows_to_change()
        if rows.anchor is not None and rows.anchor.seq >= anchor.seq:
            raise RuntimeError("the trail begins behind that anchor already")
        before, rows.anchor = len(rows.audit), anchor
        rows.audit = [line for line in rows.audit if line.seq > anchor.seq]
        return before - len(rows.audit)


class MemorySightings:
    """Fits `ports.Sightings`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def note(self, seen: Mapping[str, datetime]) -> None:
        """Person id -> when. The latest time counts; who has no row any more is passed over."""
        rows = self._uow.rows_to_change()
        for person_id, at in seen.items():
            if person_id in rows.persons:
                rows.sightings[person_id] = max(at, rows.sightings.get(person_id, at))

    def last(self, person_id: str) -> datetime | None:
        """When that person was last recognized, or None."""
        rows = self._uow.rows()
        return rows.sightings.get(person_id) if person_id in rows.persons else None

    def unseen(self, since: datetime, *, after: str | None, limit: int) -> list[str]:
        """Ids of persons not seen, nor enrolled, nor given a template, nor changed since, in order, behind `after`."""
        times = self._times()
        found = (id_ for id_ in sorted(times) if (after is None or id_ > after) and max(times[id_]) < since)
        return list(found)[:limit]

    def is_unseen(self, person_id: str, since: datetime) -> bool:
        """Whether `unseen` would name that person now."""
        times = self._times()
        return person_id in times and max(times[person_id]) < since

    def _times(self) -> dict[str, list[datetime]]:
        rows = self._uow.rows()
        times = {person.id: [person.created_at, person.updated_at] for person in rows.persons.values()}
        for template in rows.templates.values():
            times[template.person_id].append(template.created_at)
        for person_id, at in rows.sightings.items():
            times.get(person_id, []).append(at)
        return times


def _fits(line: Line, which: AuditFilter, subject: str | None) -> bool:
    wanted = ((which.actor, line.actor), (which.action, line.action), (subject, line.subject))
    return (
        all(value is None or value == held for value, held in wanted)
        and (which.galleries is None or line.gallery in which.galleries)
        and (which.since is None or line.at >= which.since)
        and (which.until is None or line.at < which.until)
    )
