"""What a start puts in order: keys that an erasure or a crash left behind, and rows of the first version."""

from datetime import UTC, datetime, timedelta

from app.store.unit_of_work import SqlStore

PIECE = 500
# No transaction takes as long: the rows of a key that is older are there, or never will be.
WAITING_AT_MOST = timedelta(hours=1)


def mend(store: SqlStore) -> None:
    """Finishes what processes that were killed had begun. Safe beside others that serve, or start."""
    _finish_erasures(store)
    _finish_removals(store)
    _leave_master_keys(store)
    _sweep_keys(store)


def _finish_erasures(store: SqlStore) -> None:
    """Shreds the keys of persons who are erased: their process ended between the commit and the shredding."""
    after = ""
    while True:
        with store.read() as uow:
            erased = uow.sealed_rows.erased(after=after, limit=PIECE)
        if not erased:
            return
        if holders := store.vault.holders(erased):
            store.vault.shred(*holders)
        after = erased[-1]


def _finish_removals(store: SqlStore) -> None:
    """Notes in the vault which templates were removed, where a process ended between the commit and the note."""
    after = 0
    while True:
        with store.read() as uow:
            removed = uow.sealed_rows.removed(after=after, limit=PIECE)
        if not removed:
            return
        template_ids = [template_id for _, template_id in removed]
        if unknown := set(template_ids) - store.vault.removed_templates(template_ids):
            store.vault.shred(templates=sorted(unknown))
        after = removed[-1][0]


def _leave_master_keys(store: SqlStore) -> None:
    """Seals what the first version sealed with the master key itself with keys of people, in short transactions."""
    ring = store.vault.ring
    with store.read() as uow:
        if not uow.sealed_rows.any_under(ring.ids):
            return
    after: str | None = ""
    while after is not None:
        with store.write() as uow:
            after = uow.resealing.leave_masters(ring, after=after, limit=PIECE)
            uow.commit()


def _sweep_keys(store: SqlStore) -> None:
    """Deletes new keys whose rows never came, and notes which new keys are in use.

    Only keys that were never seen with a row: were all keys compared with the rows, a database that was restored, or
    mistaken for another, would have the keys of everybody else deleted for ever.
    """
    before, after = datetime.now(UTC) - WAITING_AT_MOST, ""
    while True:
        with store.vault.database.reading() as keys:
            waiting = keys.waiting(before=before, after=after, limit=PIECE)
        if not waiting:
            return
        with store.read() as uow:
            named = uow.sealed_rows.named(waiting)
        with store.vault.database.writing() as keys:
            keys.keep(sorted(named))
            keys.removed = keys.drop([key_id for key_id in waiting if key_id not in named]) > 0
        after = waiting[-1]
