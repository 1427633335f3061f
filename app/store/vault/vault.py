"""The vault: a key for each person, outside the database and its backups, so that erasing reaches the backups too."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.errors import KeyGone, Misconfigured, OnelookError, SealBroken
from app.store.database import WRITE_TIMEOUT_S, Report
from app.store.engine import to_log
from app.store.vault import sealing
from app.store.vault.database import VaultDatabase
from app.store.vault.person_key import PersonKey
from app.store.vault.ring import MasterRing
from app.store.vault.rows import CURRENT, VaultRows, WrappedKey, WrappedSecret

TEMPLATE, TRAIL = "template", "trail"
# A statement for each new key would cost as much as the key.
KEPT_AT_ONCE = 64
_SECRET = b"onelook secret v1"


class Vault:
    """The keys of people and the secrets of the service, each wrapped by a master key. Thread-safe; many processes.

    No key of a person is held longer than one call: what is shredded anywhere is gone everywhere at once. The master
    key that wraps is the one that the secret `vault` is wrapped by, so that all processes agree on it. Whatever reads
    or writes also raises Busy, StoreAway and Corrupt, and what writes NotAcknowledged.
    """

    def __init__(
        self,
        url: str,
        ring: MasterRing,
        *,
        timeout_s: float = WRITE_TIMEOUT_S,
        timelines: Path | None = None,
        report: Report = to_log,
    ) -> None:
        """Touches nothing yet; `prepare` makes what is missing. Raises Misconfigured for a URL that cannot be used."""
        self.ring = ring
        self.database = VaultDatabase(url, timeout_s=timeout_s, timelines=timelines, report=report)
        # New keys whose rows are committed since; the next change to the vault notes it.
        self._kept: set[str] = set()

    def prepare(self, *, needed: bool = False) -> None:
        """Makes the vault where there is none, and looks whether the ring opens it. Raises Misconfigured.

        needed: the database holds what only the vault that there was can open, so that no new one must be made.
        """
        if needed and not self.database.is_used():
            raise self.missing()
        self.database.make()
        with self.database.writing() as rows:
            check = rows.secret(CURRENT)
            if check is None:
                check = self._wrapped_secret(CURRENT, os.urandom(sealing.KEY_BYTES), self.ring.ids[0])
                rows.put_secret(check)
        try:
            self._open_secret(check)
        except SealBroken as e:
            raise Misconfigured(
                f"the master key at hand ({', '.join(self.ring.ids)}) is not the key that what is stored was sealed "
                f"with ({check.master_id}): {self.ring.remedy}"
            ) from e

    def missing(self) -> Misconfigured:
        """What is to be said of a vault that is not where the rows that need it are."""
        return Misconfigured(
            f"the keys of people, {self.database.place}, are missing, and the database holds what was sealed with "
            "them: put them back from where their copy is kept; without them nobody can be recognized. To begin anew, "
            "remove the database too"
        )

    def seal(self, person_id: str, plain: bytes, belonging: bytes, purpose: str = TEMPLATE) -> tuple[str, bytes]:
        """(key id, sealed) under the person's key, which is made, durably, if there is none. Raises KeyGone.

        Keys for `template` are replaced by a rotation, which seals the rows of templates anew, and only those.
        """
        key = self.find(person_id, purpose) or self._make(person_id, purpose)
        return key.key_id, key.seal(plain, belonging)

    def open(self, key_id: str, sealed: bytes, belonging: bytes) -> bytes:
        """What was sealed. Raises SealBroken, and KeyGone when the person was erased."""
        (opened,) = self.open_many([(key_id, sealed, belonging)])
        if isinstance(opened, SealBroken):
            raise opened
        return opened

    def open_many(self, wanted: Sequence[tuple[str, bytes, bytes]]) -> list[bytes | SealBroken]:
        """For each (key id, sealed, belonging) what was sealed, or why it cannot be opened; one query."""
        if not wanted:
            return []
        with self.database.reading() as rows:
            held = rows.with_ids(list({key_id for key_id, _, _ in wanted}))
        keys = {key_id: self._unwrapped(row) for key_id, row in held.items()}
        return [_opened(keys.get(key_id), sealed, belonging) for key_id, sealed, belonging in wanted]

    def pseudonym(self, person_id: str, *, make: bool = True) -> str | None:
        """A name for the person that nobody can link to the id once the key is shredded; None from then on.

        make: give the person a key for it where there is none; otherwise that is None, too.
        """
        try:
            key = self.find(person_id, TRAIL) or (self._make(person_id, TRAIL) if make else None)
        except KeyGone:
            return None
        return None if key is None else key.pseudonym()

    def secret(self, name: str) -> bytes:
        """32 bytes of the service's own, made when they are first asked for; the same in every process."""
        with self.database.reading() as rows:
            held = rows.secret(name)
        if held is None:
            with self.database.writing() as rows:
                held = rows.secret(name)
                if held is None:
                    held = self._wrapped_secret(name, os.urandom(sealing.KEY_BYTES), _there(rows.current()))
                    rows.put_secret(held)
        return self._open_secret(held)

    def shred(self, *person_ids: str, templates: Sequence[str] = ()) -> int:
        """Deletes every key of these persons for good, and gives them none any more; how many keys there were.

        templates: ids of those that were removed, which no restore brings back.
        """
        with self.database.writing() as rows:
            rows.note_templates(templates, _now())
            return rows.shred(person_ids, _now()) if person_ids else 0

    def count(self, person_id: str) -> int:
        """How many keys the person has."""
        with self.database.reading() as rows:
            return rows.count(person_id)

    def holders(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons who have a key; one query."""
        with self.database.reading() as rows:
            return rows.holders(person_ids)

    def shredded(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons who were erased, whatever a database that was restored says; one query."""
        with self.database.reading() as rows:
            return rows.shredded(person_ids)

    def removed_templates(self, template_ids: Sequence[str]) -> set[str]:
        """Those of these templates that were removed, whatever a backup says; one query."""
        with self.database.reading() as rows:
            return rows.removed_templates(template_ids)

    def find(self, person_id: str, purpose: str = TEMPLATE) -> PersonKey | None:
        """The person's key for that purpose. Raises SealBroken when it cannot be unwrapped."""
        return self.find_many([person_id], purpose).get(person_id)

    def find_many(self, person_ids: Sequence[str], purpose: str = TEMPLATE) -> dict[str, PersonKey]:
        """Person id -> key for that purpose, of those who have one; one query. Raises SealBroken."""
        with self.database.reading() as rows:
            held = rows.of_persons(person_ids, purpose)
        return {person_id: self.unwrap(row) for person_id, row in held.items()}

    def store(self, keys: Sequence[PersonKey]) -> None:
        """Writes new keys, all or none; they wait for `note_kept`. Raises KeyGone when a person was erased."""
        kept = tuple(self._kept) if len(self._kept) >= KEPT_AT_ONCE or not keys else ()
        with self.database.writing() as rows:
            rows.keep(kept)
            if keys:
                self.insert(rows, keys, kept=False)
        self._kept.difference_update(kept)

    def note_kept(self, key_ids: Sequence[str]) -> None:
        """Told that the rows of new keys are committed; written with further keys, or by `close`.

        Should the process be killed before, the next start finds it out by looking for the rows.
        """
        self._kept.update(key_ids)

    def insert(self, rows: VaultRows, keys: Sequence[PersonKey], *, kept: bool = True) -> None:
        """Writes new keys in a transaction of the caller's. Raises KeyGone when a person was erased."""
        current = _there(rows.current_for([key.person_id for key in keys]))
        rows.add(self.wrap(keys, current), _now(), kept=kept)

    def wrap(self, keys: Sequence[PersonKey], master_id: str) -> list[WrappedKey]:
        """The keys as they are stored, under that master key. Raises SealBroken when the ring does not hold it."""
        master = self.ring.cipher(master_id)
        return [key.wrapped(master_id, master) for key in keys]

    def unwrap(self, held: WrappedKey) -> PersonKey:
        """The key itself. Raises SealBroken."""
        return PersonKey.unwrapped(held, self.ring.cipher(held.master_id))

    def rewrapped(self, held: WrappedSecret, master_id: str) -> WrappedSecret:
        """The same secret under that master key. Raises SealBroken."""
        return self._wrapped_secret(held.name, self._open_secret(held), master_id)

    def close(self) -> None:
        """Closes the kept connections."""
        if self._kept:
            try:
                self.store(())
            except OnelookError:  # a later start finds out by itself that those keys are in use
                self._kept.clear()
        self.database.close()

    def _make(self, person_id: str, purpose: str) -> PersonKey:
        with self.database.writing() as rows:
            # Looked for again: another process may have made it meanwhile.
            held = rows.of_persons([person_id], purpose).get(person_id)
            if held is not None:
                return self.unwrap(held)
            key = PersonKey.fresh(person_id, purpose)
            self.insert(rows, [key])
        return key

    def _unwrapped(self, held: WrappedKey) -> PersonKey | SealBroken:
        try:
            return self.unwrap(held)
        except SealBroken as e:
            return e

    def _wrapped_secret(self, name: str, plain: bytes, master_id: str) -> WrappedSecret:
        sealed = sealing.seal(self.ring.cipher(master_id), plain, sealing.belonging_of(_SECRET, name))
        return WrappedSecret(name, sealed, master_id)

    def _open_secret(self, held: WrappedSecret) -> bytes:
        cipher = self.ring.cipher(held.master_id)
        return sealing.unseal(cipher, held.wrapped, sealing.belonging_of(_SECRET, held.name))


def _opened(key: PersonKey | SealBroken | None, sealed: bytes, belonging: bytes) -> bytes | SealBroken:
    if key is None:
        return KeyGone()
    if isinstance(key, SealBroken):
        return key
    try:
        return key.open(sealed, belonging)
    except SealBroken as e:
        return e


def _there(current: str | None) -> str:
    if current is None:
        raise SealBroken("The keys of people are missing: put them back from where their copy is kept.")
    return current


def _now() -> datetime:
    return datetime.now(UTC)
