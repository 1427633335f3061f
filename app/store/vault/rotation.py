"""Rotation: a new master key, and a new key for each person, while the service serves.

The order is what makes it safe against `kill -9` at any point, and what a second run goes on from:

1. the new master key is in the ring before anything is wrapped by it, and from the same moment on everything new is;
2. a person's new key is in the vault before a row is sealed with it;
3. a person's old key goes when no row names it any more;
4. the old master key leaves the ring when nothing is wrapped by it any more.

Every transaction that seals a template holds the database's write lock, as the one of step 3 does that looks for rows.
So none of them can have chosen an old key and commit its row after that look.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.errors import SealBroken
from app.store.unit_of_work import SqlStore
from app.store.vault.person_key import PersonKey
from app.store.vault.rows import VaultRows, WrappedKey
from app.store.vault.vault import TEMPLATE, Vault

# Keys that one step takes: it holds the write lock for some ten milliseconds.
PIECE = 100


@dataclass(frozen=True, slots=True)
class Rotated:
    """What this run did. retired: the old master keys are out of the ring; else they are still to be taken out."""

    master_id: str
    templates: int
    keys: int
    retired: bool


def rotate(store: SqlStore, *, told: Callable[[int], object] = lambda keys: None) -> Rotated:
    """Seals every template anew under a new master key and new keys of persons, or finishes a run that was interrupted.

    told: called with the number of keys that are done. Raises Misconfigured where a new master key cannot be made.
    """
    vault = store.vault
    master_id = _new_master(vault)
    templates = keys = 0
    while True:
        for behind in _behind(vault, master_id):
            templates += _replace(store, [key for key in behind if key.purpose == TEMPLATE])
            _rewrap(vault, master_id, [key for key in behind if key.purpose != TEMPLATE])
            keys += len(behind)
            told(keys)
        retired = _retire(vault, master_id)
        if retired is not None:
            return Rotated(master_id, templates, keys, retired)


def _new_master(vault: Vault) -> str:
    """The master key to rotate to: wraps everything new once this returns."""
    # Under the vault's write lock: two rotations that begin at once agree on one key.
    with vault.database.writing() as rows:
        vault.ring.read_again()
        current = rows.current()
        first = vault.ring.ids[0]
        # Any other key in the ring: the operator put it there, or an earlier run did that never came to its end.
        if vault.ring.ids == (current,):
            first = vault.ring.add()
        for secret in rows.secrets():
            if secret.master_id != first:
                rows.put_secret(vault.rewrapped(secret, first))
    return first


def _behind(vault: Vault, master_id: str) -> Iterator[list[WrappedKey]]:
    after = ""
    while True:
        with vault.database.reading() as rows:
            keys = rows.behind(master_id, after=after, limit=PIECE)
        if not keys:
            return
        yield [key for key in keys if _opens(vault, key)]
        after = keys[-1].key_id


def _replace(store: SqlStore, old: list[WrappedKey]) -> int:
    """New keys for the persons of these, their templates sealed with them, and the old ones deleted; how many rows."""
    if not old:
        return 0
    vault, old_ids = store.vault, [key.key_id for key in old]
    with vault.database.writing() as rows:
        # Looked at again: somebody may have been erased since, and gets no new key.
        persons = {key.person_id for key in rows.with_ids(old_ids).values()}
        current, having = rows.current(), rows.of_persons(list(persons), TEMPLATE)
        lacking = sorted(person for person in persons if having[person].master_id != current)
        vault.insert(rows, [PersonKey.fresh(person, TEMPLATE) for person in lacking])
    with store.write() as uow:
        resealed = uow.resealing.reseal(old_ids)
        # Templates that cannot be opened, and what else was sealed with such a key, keep it.
        named = uow.sealed_rows.named(old_ids)
        uow.commit()
    with vault.database.writing() as rows:
        current = rows.current()
        assert current is not None
        rows.drop([key_id for key_id in old_ids if key_id not in named])
        _rewrap_in(vault, rows, current, [key for key in old if key.key_id in named])
    return resealed


def _rewrap(vault: Vault, master_id: str, keys: list[WrappedKey]) -> None:
    if keys:
        with vault.database.writing() as rows:
            _rewrap_in(vault, rows, master_id, keys)


def _rewrap_in(vault: Vault, rows: VaultRows, master_id: str, keys: list[WrappedKey]) -> None:
    # Those that are shredded meanwhile have no row to be written to.
    rows.rewrap(vault.wrap([vault.unwrap(key) for key in keys], master_id))


def _retire(vault: Vault, master_id: str) -> bool | None:
    """Takes the other master keys out of the ring; None when something is still wrapped by them."""
    # Under the vault's write lock: nothing can be wrapped by them while we look, nor afterwards.
    with vault.database.writing() as rows:
        if rows.current() != master_id:
            # Another rotation began meanwhile: it takes out what is to be taken out.
            return True
        after = ""
        while keys := rows.behind(master_id, after=after, limit=PIECE):
            if any(_opens(vault, key) for key in keys):
                return None
            after = keys[-1].key_id
        # Once for all pieces: it waits for those who read.
        rows.removed = True
        return vault.ring.keep_only(master_id)


def _opens(vault: Vault, key: WrappedKey) -> bool:
    # One that was altered opens nothing under whatever master key: it must not keep the old one in the ring for ever.
    try:
        vault.unwrap(key)
    except SealBroken:
        return False
    return True
