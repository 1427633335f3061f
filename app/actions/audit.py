"""The audit trail: listed, checked from the first row to the last, and its head signed. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.audit import AuditFilter, Head, Record
from app.domain.audit_check import Check, Fault
from app.domain.particulars import in_utc, is_id
from app.errors import InvalidField
from app.ports import Store

# Rows that a check holds at a time.
PIECE = 1000


@dataclass(frozen=True, slots=True)
class ListAudit:
    """Rows of the trail, newest first. Raises InvalidField."""

    store: Store

    def __call__(self, which: AuditFilter, *, before: int | None, limit: int) -> Sequence[Record]:
        """At most `limit` rows before the seq `before`, with whom they are of where that can still be opened."""
        if which.person_id is not None and not is_id(which.person_id):
            return ()
        since, until = in_utc("from", which.since), in_utc("to", which.until)
        if since is not None and until is not None and until < since:
            raise InvalidField("to", "It must not lie before `from`.")
        with self.store.read() as uow:
            return uow.audit.page(which, before=before, limit=limit)


@dataclass(frozen=True, slots=True)
class SignHead:
    """The last row of the trail, signed."""

    store: Store

    def __call__(self) -> Head:
        """A head to be kept elsewhere: a trail that was cut, or written anew, does not fit it any more."""
        with self.store.read() as uow:
            return uow.audit.chain.sign_head(uow.audit.last())

    def public_key(self) -> bytes:
        """32 bytes, Ed25519: what anybody may check heads with."""
        with self.store.read() as uow:
            return uow.audit.chain.public_key


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. found: how many faults there are, of which `faults` holds the first hundred.

    met_head: whether the row that the given head names was there to be compared; None where none was given.
    """

    first: int
    last: int
    rows: int
    head: Head
    faults: tuple[Fault, ...]
    found: int
    met_head: bool | None

    @property
    def ok(self) -> bool:
        """Whether the trail is as it was written, as far as can be told."""
        return not self.found


@dataclass(frozen=True, slots=True)
class VerifyAudit:
    """Goes over the whole trail, in pieces. Raises InvalidField for a head that this service did not sign."""

    store: Store

    def __call__(self, head: Head | None = None) -> Verdict:
        """head: one that was signed before; only against it a trail shows that its end was cut off."""
        with self.store.read() as uow:
            chain = uow.audit.chain
            if head is not None and not chain.signed_head(head):
                raise InvalidField("head", "It was not signed by this service, or was altered since.")
            check = Check(chain, uow.audit.anchor(), head)
            while lines := uow.audit.lines(check.last.seq, PIECE):
                if lines[0].seq > check.last.seq + 1:
                    # Rows may have been let go since the anchor was read; each piece is read at one moment.
                    anchor = uow.audit.anchor()
                    if anchor is not None and anchor.seq > check.last.seq:
                        check.move_on(anchor)
                        continue
                for line in lines:
                    check.take(line)
            check.end()
            met = None if head is None else check.met_head
            signed = chain.sign_head(check.last)
        return Verdict(check.first, check.last.seq, check.rows, signed, check.faults, check.found, met)
