"""From the settings to rows that can be read: the database, the master keys, the keys of people, and all in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import Misconfigured
from app.settings import Settings
from app.store.database import Report
from app.store.engine import is_postgres, reading_engine, to_log
from app.store.faults import as_service_errors
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore
from app.store.vault.database import VaultDatabase
from app.store.vault.mending import mend
from app.store.vault.ring import MasterRing, read_keys
from app.store.vault.sealed_rows import SealedRows
from app.store.vault.vault import Vault


def open_rows(settings: Settings, report: Report = to_log) -> SqlStore:
    """The rows of the home, brought up to date; makes home and keys if need be. Raises Misconfigured.

    What processes that were killed left undone is done before this returns: nobody erased has a key any more.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    url, timelines = settings.sqlalchemy_url(), settings.home / "timelines"
    migrate(url, timelines=timelines, report=report)
    store = SqlStore(url, open_vault(settings, report=report), timelines=timelines, report=report)
    try:
        mend(store)
    except BaseException:
        store.close()
        raise
    return store


def open_vault(settings: Settings, *, report: Report = to_log) -> Vault:
    """The keys of people, made where there is nothing yet to be opened. Raises Misconfigured.

    The database is there, and up to date.
    """
    url = settings.vault_url()
    if not is_postgres(url) and url == settings.sqlalchemy_url():
        raise Misconfigured("ONELOOK_KEYS_URL names the database itself: the keys of people must lie in another file")
    ring = ring_of(settings, make=True)
    with _rows(settings, report) as rows:
        # Before the vault: what another process has stored by now was sealed with keys that the vault already holds.
        needed, stored = rows.need_vault(), rows.any()
        fits = not stored or needed or rows.any_under(ring.ids)
    vault = _vault(settings, ring, report)
    try:
        # One row that the key does not open is passed over by the index; if it opens none, it is the wrong key.
        if not fits and not vault.database.is_used():
            raise Misconfigured(
                f"the master key at hand is not the key that the stored templates were sealed with: {ring.remedy}"
            )
        vault.prepare(needed=needed)
    except BaseException:
        vault.close()
        raise
    return vault


def vault_as_it_is(settings: Settings) -> Vault | None:
    """The keys of people, or None where there are none yet, nor need be; makes nothing.

    Raises Misconfigured, StoreAway, and OSError when the file of the master keys is missing.
    """
    vault = _vault(settings, ring_of(settings, make=False), lambda text: None)
    try:
        if vault.database.is_used():
            return vault
        with _rows(settings, lambda text: None) as rows:
            if rows.need_vault():
                raise vault.missing()
    except BaseException:
        vault.close()
        raise
    vault.close()
    return None


def ring_of(settings: Settings, *, make: bool) -> MasterRing:
    """The master keys that the settings name; make: a first one, where nothing was sealed yet. Raises Misconfigured.

    Without make also OSError, when the file is missing.
    """
    if settings.master_key is not None:
        return MasterRing.given(settings.master_key.get_secret_value())
    path = settings.master_key_path()
    if not make:
        return MasterRing(read_keys(path), path)
    return MasterRing.of_file(path, anything_sealed=lambda: _anything_sealed(settings))


def _anything_sealed(settings: Settings) -> bool:
    with _rows(settings, to_log) as rows:
        if rows.any():
            return True
    database = VaultDatabase(settings.vault_url(), timeout_s=10, timelines=_timelines(settings), report=to_log)
    try:
        return database.is_used()
    finally:
        database.close()


def _vault(settings: Settings, ring: MasterRing, report: Report) -> Vault:
    return Vault(settings.vault_url(), ring, timelines=_timelines(settings), report=report)


def _timelines(settings: Settings) -> Path:
    return settings.home / ("timelines" if settings.keys_url is None else "timelines-keys")


@contextmanager
def _rows(settings: Settings, report: Report) -> Iterator[SealedRows]:
    engine = reading_engine(settings.sqlalchemy_url(), timelines=settings.home / "timelines", report=report)
    try:
        with as_service_errors(), engine.connect() as connection:
            yield SealedRows(connection)
    finally:
        engine.dispose()
