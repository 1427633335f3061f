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
MASTER_KEY_BYTES = 32


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
    """Whether the key that opens the templates is there, whole, and ours alone."""
    path = settings.home / "keys" / "master.key"
    if not path.exists():
        if settings.database_url is None and (settings.home / "onelook.db").exists():
            return failure(f"{path} is missing, and no template opens without it: put it back from where it was kept")
        return ok(f"{path} will be made at the first start")
    if _open_to_others(path):
        return failure(f"{path} can be read by others: chmod 600 {path}")
    if path.stat().st_size != MASTER_KEY_BYTES:
        return failure(f"{path} must hold {MASTER_KEY_BYTES} bytes: put the right file back")
    return ok(f"{path}; keep a copy where the backups of the database are not")


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

    from app.store.engine import reading_engine

    url = settings.sqlalchemy_url()
    engine = reading_engine(url)
    try:
        place = make_url(url).database or ""
        if not Path(place).exists():
            return ok(f"{place} will be made at the first start")
        with engine.connect() as connection:
            damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            has, knows, newest = _schema(connection)
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
