"""What is kept no longer: persons not seen for so many days, and rows of the audit trail that are as old."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from app.actions.erase import Erase, SeenSince
from app.domain.actor import RETENTION, acting_as
from app.domain.audit import AuditFilter, Entry, Line, Unreadable
from app.domain.audit_check import Check
from app.errors import Corrupt, UnknownPerson
from app.ports import Clock, Store, UnitOfWork

# Rows that one transaction lets go, and persons that are looked up at a time.
PIECE = 1000
BEGAN, LET_GO = "retention.began", "audit.let_go"


@dataclass(frozen=True, slots=True)
class Retained:
    """What a sweep removed, or, of a dry run, would remove: ids of persons, and a number of rows."""

    persons: tuple[str, ...]
    audit_rows: int


@dataclass(frozen=True, slots=True)
class Retain:
    """Erases persons who were not seen, enrolled, given a template or changed for `unseen_days`, each with a receipt.

    Then lets go of the rows of the trail that are older than `audit_days`, oldest first, as far as they are what was
    written: what somebody altered stays, as evidence. 0 days: for ever. Each person and each 1000 rows are a
    transaction of their own, so that a sweep that is cut off is no harm, and the next one goes on.
    """

    store: Store
    erase: Erase
    clock: Clock
    unseen_days: int
    audit_days: int

    def __call__(
        self, *, dry_run: bool = False, unless_since: timedelta | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Retained:
        """What was removed. unless_since: nothing, where any process began a sweep less than that ago.

        stop: asked between transactions. Raises Corrupt where the oldest rows are not what was written.
        """
        if not (self.unseen_days or self.audit_days):
            return Retained((), 0)
        now = self.clock.now()
        with acting_as(RETENTION):
            if not dry_run and not self._begin(now, unless_since):
                return Retained((), 0)
            persons = self._persons(now, dry_run, stop)
            rows = 0
            if self.audit_days:
                before = now - timedelta(days=self.audit_days)
                rows = self._count(before) if dry_run else self._let_go(before, stop)
        return Retained(persons, rows)

    def _begin(self, now: datetime, unless_since: timedelta | None) -> bool:
        facts = {"unseen_days": self.unseen_days, "audit_days": self.audit_days}
        with self.store.write() as uow:
            # Writers are serial: of two processes that ask at once only one finds that nobody began.
            if unless_since is not None:
                recent = AuditFilter(action=BEGAN, since=now - unless_since)
                if uow.audit.page(recent, before=None, limit=1):
                    return False
            uow.audit.append(Entry(BEGAN, now, facts=facts))
            uow.commit()
        return True

    def _persons(self, now: datetime, dry_run: bool, stop: Callable[[], bool]) -> tuple[str, ...]:
        if not self.unseen_days:
            return ()
        since, gone, after = now - timedelta(days=self.unseen_days), list[str](), None
        while ids := self._unseen(since, after):
            for person_id in ids:
                if stop():
                    return tuple(gone)
                if dry_run or self._erased(person_id, since):
                    gone.append(person_id)
            after = ids[-1]
        return tuple(gone)

    def _unseen(self, since: datetime, after: str | None) -> list[str]:
        with self.store.read() as uow:
            return uow.sightings.unseen(since, after=after, limit=PIECE)

    def _erased(self, person_id: str, since: datetime) -> bool:
        try:
            # Looked at again in the erasure's own transaction: the list may be minutes old. What remains are sightings
            # that still wait in the trail's queue of some process, which writes them within a second or so.
            self.erase(person_id, unseen_since=since)
        except (UnknownPerson, SeenSince):  # somebody else erased them meanwhile, or they were seen after all
            return False
        return True

    def _count(self, before: datetime) -> int:
        count = 0
        with self.store.read() as uow:
            anchor = uow.audit.anchor()
            after = 0 if anchor is None else anchor.seq
            while lines := uow.audit.lines(after, PIECE):
                old = sum(1 for _ in _old(lines, before))
                count, after = count + old, lines[-1].seq
                if old < len(lines):
                    break
        return count

    def _let_go(self, before: datetime, stop: Callable[[], bool]) -> int:
        gone = 0
        while not stop():
            with self.store.write() as uow:
                rows = self._let_a_piece_go(uow, before)
                if not rows:
                    return gone
                uow.commit()
            gone += rows
        return gone

    def _let_a_piece_go(self, uow: UnitOfWork, before: datetime) -> int:
        check = Check(uow.audit.chain, uow.audit.anchor())
        good = list(_good(check, _old(uow.audit.lines(check.last.seq, PIECE), before)))
        if good:
            uow.audit.let_go(uow.audit.chain.sign_anchor(good[-1]))
            uow.audit.append(Entry(LET_GO, self.clock.now(), facts={"rows": len(good), "through": good[-1].seq}))
        elif check.found:
            raise Corrupt("The oldest rows of the audit trail are not what was written: run `onelook audit verify`.")
        return len(good)


def _old(lines: Sequence[Line | Unreadable], before: datetime) -> Iterator[Line | Unreadable]:
    """The rows up to the first that is to be kept: clocks differ, and only a whole beginning can be let go."""
    return takewhile(lambda line: isinstance(line, Unreadable) or line.at < before, lines)


def _good(check: Check, lines: Iterable[Line | Unreadable]) -> Iterator[Line]:
    """The rows up to the first that is not what was written."""
    for line in lines:
        if check.found or not check.take(line) or isinstance(line, Unreadable):
            return
        yield line
