"""Checks of the home: its files, their permissions, and the database. None of them makes or changes anything."""

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.finding import Finding, failure, ok, warning
from app.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

GIB = 1024**3
LEAST_FREE, ENOUGH_FREE = GIB // 5, GIB
OTHERS = 0o077


def home(settings: Settings) -> Finding:
    """Whether the home, or where it will be made, can be written, by us alone."""
    place = settings.home.resolve()
    if place.exists() and not place.is_dir():
        return failure(f"{place} is no folder: set ONELOOK_HOME to one")
    existing = _existing(place)
    if not os.access(existing, os.W_OK | os.X_OK):
        return failure(f"{existing} cannot be written by this user: change its owner, or set ONELOOK_HOME")
    if not place.exists():
        return ok(f"{place} will be made at the first start")
    if _open_to_others(place):
        return warning(f"{place} is open to other users: chmod 700 {place}")
    return ok(str(place))


def disk_space(settings: Settings) -> Finding:
    """Whether there is room for rows and their log."""
    free = shutil.disk_usage(_existing(settings.home.resolve())).free
    text = f"{free / GIB:.1f} GiB free"
    if free >= ENOUGH_FREE:
        return ok(text)
    text += ": make room, or nobody can be enrolled once it is full"
    return failure(text) if free < LEAST_FREE else warning(text)


def master_key(settings: Settings) -> Finding:
    """Whether the keys that open the keys of people are there, whole, ours alone, and not beside the database."""
    from app.errors import Misconfigured
    from app.store.vault.ring import MasterRing, read_keys

    database = _database_file(settings)
    if settings.master_key is not None:
        held, place, beside = MasterRing.given(settings.master_key.get_secret_value()), "ONELOOK_MASTER_KEY", False
    else:
        path = settings.master_key_path()
        if not path.exists():
            if database is not None and database.exists():
                return failure(
                    f"{path} is missing, and no template opens without it: put it back from where it was kept"
                )
            return ok(f"{path} will be made at the first start")
        try:
            held = MasterRing(read_keys(path), path)
        except Misconfigured as e:
            return failure(e.detail)
        place, beside = str(path), database is not None and database.parent in path.resolve().parents
    if len(held.ids) > 1:
        return warning(f"{place} holds {len(held.ids)} keys: a rotation has not ended; run `onelook keys rotate` again")
    if beside:
        return warning(
            f"{place} lies beside the database: whoever copies the folder can open every template. Move it elsewhere, "
            "and name the place in ONELOOK_MASTER_KEY_FILE"
        )
    return ok(f"{place}; keep a copy where the backups of the database are not")


def person_keys(settings: Settings) -> Finding:
    """Whether the keys of people are ours alone, and outside the backup of the database."""
    from sqlalchemy.engine import make_url

    from app.store.engine import is_postgres

    url = settings.vault_url()
    if is_postgres(url):
        if url == settings.database_url:
            return warning(
                "they lie in the server of the database, and so in its base backups: an erasure does not reach those. "
                "Name another place in ONELOOK_KEYS_URL"
            )
        return ok("in a PostgreSQL of their own")
    path = Path(make_url(url).database or "")
    if not path.exists():
        return ok(f"{path} will be made at the first start")
    if _open_to_others(path):
        return failure(f"{path} can be read by others: chmod 600 {path}")
    return ok(f"{path}; keep one copy, always of now, where the backups of the database are not")


def admin_key(settings: Settings) -> Finding:
    """Whether the file of the first admin key is ours alone; it may have been put elsewhere."""
    path = settings.home / "admin.key"
    if not path.exists():
        return ok(f"{path} is not there: the first start makes it, later ones do not")
    if _open_to_others(path):
        return failure(f"{path} can be read by others: chmod 600 {path}, and revoke that key")
    return ok(str(path))


def database(settings: Settings) -> Finding:
    """Whether the database opens, is whole, and has this version's schema."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DatabaseError

    from app.errors import StoreAway
    from app.store.engine import is_postgres, reading_engine

    url = settings.sqlalchemy_url()
    engine, on_server = reading_engine(url, report=lambda text: None), is_postgres(url)
    try:
        place = "the database of PostgreSQL" if on_server else make_url(url).database or ""
        if not (on_server or Path(place).exists()):
            return ok(f"{place} will be made at the first start")
        with engine.connect() as connection:
            damage = "ok" if on_server else connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            has, knows, newest = _schema(connection)
    except StoreAway as e:
        return failure(f"the database cannot be reached: {e.__cause__ or e.detail}")
    except DatabaseError as e:
        return failure(f"the database cannot be read: {e.orig}; restore it from a backup")
    finally:
        engine.dispose()
    if damage != "ok":
        return failure(f"{place} is damaged: restore it from a backup")
    if has is None or has in knows - {newest}:
        return warning(f"{place} has an older schema: `onelook migrate`, or the next start, brings it up to date")
    if has != newest:
        return failure(f"{place} has a newer schema than this version knows: start the newer version")
    return ok(f"{place}, schema {has}")


def search(settings: Settings) -> Finding:
    """Whether vectors lie in the database in clear."""
    if settings.search == "pgvector":
        return warning(
            "pgvector: the vectors of everybody enrolled lie in the database in clear, and whoever steals a copy of it "
            "can compare faces with them; ONELOOK_SEARCH=faiss keeps them sealed"
        )
    return ok("faiss: vectors are in the memory of the service, and sealed wherever they are stored")


def _database_file(settings: Settings) -> Path | None:
    """Of SQLite; None for a server."""
    from sqlalchemy.engine import make_url

    from app.store.engine import is_postgres

    url = settings.sqlalchemy_url()
    return None if is_postgres(url) else Path(make_url(url).database or "").resolve()


def _schema(connection: "Connection") -> tuple[str | None, set[str], str | None]:
    """(revision of the database, revisions that we know, the newest of them)."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from app.store.migrate import configuration

    scripts = ScriptDirectory.from_config(configuration(connection))
    has = MigrationContext.configure(connection).get_current_revision()
    return has, {script.revision for script in scripts.walk_revisions()}, scripts.get_current_head()


def _existing(place: Path) -> Path:
    return next(path for path in (place, *place.parents) if path.exists())


def _open_to_others(path: Path) -> bool:
    return os.name == "posix" and bool(stat.S_IMODE(path.stat().st_mode) & OTHERS)
