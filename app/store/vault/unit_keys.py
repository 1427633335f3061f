"""The keys of people as one unit of work uses them: new ones go to the vault together, before the rows do."""

from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from app.errors import OnelookError, SealBroken
from app.store.vault.person_key import PersonKey
from app.store.vault.vault import TEMPLATE, TRAIL, Vault


class UnitKeys:
    """Seals and opens what templates hold. One unit of work's own; `settle` before its commit, `committed` after it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        #: By person and purpose: keys that are not in the vault yet.
        self._fresh: dict[tuple[str, str], PersonKey] = {}
        self._newcomers: set[str] = set()
        self._settled: list[str] = []
        #: Persons whose keys go once the commit is done.
        self.erased: list[str] = []
        #: Templates that no restore may bring back once the commit is done.
        self.removed: list[str] = []

    def seal(self, person_id: str, plain: bytes, belonging: bytes) -> tuple[str, bytes]:
        """(key id, sealed) under the person's key; where there is none, one that `settle` writes."""
        key = self.key(person_id, TEMPLATE)
        return key.key_id, key.seal(plain, belonging)

    def seal_many(self, wanted: Sequence[tuple[str, bytes, bytes]]) -> list[tuple[str, bytes]]:
        """For each (person id, plain, belonging) what `seal` gives; one query for those who have a key."""
        held = self._vault.find_many(sorted({person_id for person_id, _, _ in wanted}))
        keys = [held.get(person_id) or self.key(person_id, TEMPLATE) for person_id, _, _ in wanted]
        return [(key.key_id, key.seal(*one[1:])) for key, one in zip(keys, wanted, strict=True)]

    def key(self, person_id: str, purpose: str) -> PersonKey:
        """The person's key for that purpose; where there is none, one that `settle` writes."""
        key = self._fresh.get((person_id, purpose))
        if key is None and not (purpose == TEMPLATE and person_id in self._newcomers):
            key = self._vault.find(person_id, purpose)
        if key is None:
            key = self._fresh[person_id, purpose] = PersonKey.fresh(person_id, purpose)
        return key

    def expect(self, person_id: str) -> None:
        """Told that the person is added by this unit of work: nothing is sealed for them yet, and no key looked for."""
        self._newcomers.add(person_id)

    def known(self, person_id: str, purpose: str) -> PersonKey | None:
        """The person's key for that purpose, or None where there is none, or none any more."""
        return self._fresh.get((person_id, purpose)) or self._vault.find(person_id, purpose)

    def shredded(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons who were erased, and get no key any more; one query."""
        return self._vault.shredded(person_ids)

    def open_many(self, wanted: Sequence[tuple[str, bytes, bytes]]) -> list[bytes | SealBroken]:
        """As `Vault.open_many`, with the keys that are not there yet."""
        fresh = {key.key_id: key for key in self._fresh.values()}
        stored = iter(self._vault.open_many([one for one in wanted if one[0] not in fresh]))
        return [fresh[one[0]].open(one[1], one[2]) if one[0] in fresh else next(stored) for one in wanted]

    def count(self, person_id: str) -> int:
        """How many keys the person has in the vault."""
        return self._vault.count(person_id)

    def erase(self, person_id: str) -> None:
        """Notes that this person's keys must go once the erasure is committed."""
        for purpose in (TEMPLATE, TRAIL):
            self._fresh.pop((person_id, purpose), None)
        self.erased.append(person_id)

    def remove(self, template_ids: Sequence[str]) -> None:
        """Notes that these templates stay removed once that is committed: a backup may have them under any person."""
        self.removed += template_ids

    def settle(self) -> None:
        """Writes the new keys, durably: a row is never committed without the key that opens it. Raises KeyGone."""
        if self._fresh:
            keys = list(self._fresh.values())
            self._vault.store(keys)
            self._settled += [key.key_id for key in keys]
            self._fresh.clear()

    def committed(self, erased_before: Sequence[str] = (), removed_before: Sequence[str] = ()) -> None:
        """Told that the rows are committed: shreds whom they erased, and who was erased before and still has keys.

        In the same transaction of the vault it notes the templates that were removed, now or before.
        What cannot be shredded now is by the next erasure or the next start; the receipt of this one is not proved.
        """
        self._vault.note_kept(self._settled)
        self._settled.clear()
        if self.erased or self.removed:
            try:
                late = self._vault.holders(erased_before) if erased_before else ()
                self._vault.shred(*self.erased, *late, templates=[*self.removed, *removed_before])
            except (OnelookError, SQLAlchemyError):
                return
            finally:
                self.erased.clear()
                self.removed.clear()
