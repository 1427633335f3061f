"""A request with an Idempotency-Key is carried out at most once, and answered the same each time."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.actions.people import all_there
from app.domain.idempotency import KEPT, Remembered
from app.errors import IdempotencyConflict, InProgress, InvalidField
from app.ports import Clock, Identifiers, Store, UnitOfWork

LONGEST = 255


@dataclass(frozen=True, slots=True)
class Once:
    """Begins requests that carry an Idempotency-Key, and keeps their answers. Writes their rows."""

    store: Store
    clock: Clock
    identifiers: Identifiers

    def begin(self, key_id: str, route: str, header: str, digest: bytes) -> Remembered:
        """The record of this request: with a status, the answer to give again; without, the attempt that may now run.

        Raises InvalidField for a header that cannot be used, IdempotencyConflict when another request had it,
        InProgress while the same one runs.
        """
        if not 1 <= len(header) <= LONGEST or not all("!" <= character <= "~" for character in header):
            raise InvalidField("Idempotency-Key", f"1 to {LONGEST} visible ASCII characters are allowed.")
        now = self.clock.now()
        name = "\0".join((key_id, route, header)).encode()
        fresh = Remembered(
            hashlib.sha256(name).hexdigest(), digest, self.identifiers.new("idm"), now, expires_at=now + KEPT
        )
        with self.store.read() as uow:
            held = uow.idempotency.get(fresh.id)
        if held is None or not held.counts(now):
            with self.store.write() as uow:
                # Looked at again: of two at once the second finds the first.
                held = uow.idempotency.get(fresh.id)
                if held is None or not held.counts(now):
                    uow.idempotency.sweep(now)
                    uow.idempotency.start(fresh)
                    uow.commit()
                    return fresh
        if held.digest != digest:
            raise IdempotencyConflict
        if held.status is None:
            raise InProgress
        return held

    def keep(
        self,
        uow: UnitOfWork,
        record: Remembered,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        person_ids: Sequence[str],
    ) -> None:
        """Keeps the answer in the transaction of what it tells, so that both are there after a crash, or neither.

        It tells of persons as they are in that transaction, so that it names nobody who was erased before it.
        Raises InProgress where another attempt took over: then the transaction must not be committed.
        """
        answered = replace(record, status=status, headers=dict(headers), body=body)
        if not uow.idempotency.finish(answered, person_ids):
            raise InProgress

    def keep_unchanged(
        self,
        record: Remembered,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        person_ids: Sequence[str],
        to_be: Sequence[str] = (),
    ) -> None:
        """The same for an answer that changed nothing; to_be: whom else it names, who need not be enrolled.

        Where one of `person_ids` was erased since the answer was made it is not kept: sent again, the request is
        carried out anew.
        """
        answered = replace(record, status=status, headers=dict(headers), body=body)
        with self.store.write() as uow:
            if not all_there(uow, person_ids):
                uow.idempotency.forget(record)
                uow.commit()
            elif uow.idempotency.finish(answered, [*person_ids, *to_be]):
                uow.commit()

    def sweep(self) -> int:
        """Deletes what has expired, though no further request comes that would; how many."""
        with self.store.write() as uow:
            count = uow.idempotency.sweep(self.clock.now())
            if count:
                uow.commit()
        return count

    def forget(self, record: Remembered) -> None:
        """Lets the same request be tried again at once: it failed in a way that is not remembered."""
        with self.store.write() as uow:
            uow.idempotency.forget(record)
            uow.commit()
