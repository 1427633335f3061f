"""Brings the database to the schema of this code."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError

import migrations
from app.errors import Corrupt, Misconfigured, StoreAway
from app.store.database import Report
from app.store.engine import is_postgres, to_log, writing_engine
from app.store.tables_of_work import METADATA

# Long enough for another process that migrates at the same time.
LOCK_TIMEOUT_S = 60.0


def migrate(url: str, *, timelines: Path | None = None, report: Report = to_log) -> None:
    """Brings the database to the newest schema, all of the way or not at all; makes file and folder if need be.

    Processes that start at once wait for each other, and the later ones find nothing to do. Raises Misconfigured when
    the database cannot be opened or comes from newer code, Corrupt when the file is no database. timelines, report: as
    `engine.open_database` takes them.
    """
    engine = writing_engine(url, timeout_s=LOCK_TIMEOUT_S, timelines=timelines, report=report)
    try:
        if not is_postgres(url):
            _make_folder(url)
        # The transaction begins with the write lock: the revision that is read stays true until the commit.
        with engine.begin() as connection:
            config = configuration(connection)
            _refuse_newer(connection, config)
            command.upgrade(config, "head")
    except StoreAway as e:
        raise Misconfigured(f"the database cannot be reached: {e.__cause__ or e.detail}") from e
    except DatabaseError as e:
        if is_postgres(url) or isinstance(e, OperationalError):
            raise Misconfigured(f"the database {_place(url)} cannot be opened or written: {_first_line(e)}") from e
        raise Corrupt(f"the database {_place(url)} cannot be read: {e.orig}. Restore it from a backup.") from e
    finally:
        engine.dispose()


def configuration(connection: Connection) -> Config:
    """What Alembic needs, for a connection inside a transaction; no file is read."""
    config = Config()
    folder = str(Path(migrations.__file__).parent)
    # Alembic takes a percent sign for the start of a variable.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = METADATA
    return config


def _refuse_newer(connection: Connection, config: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise Misconfigured(
            f"the database has the schema {', '.join(sorted(unknown))}, which this version does not know: "
            "start the newer version that made it, or restore a backup from before"
        )


def _make_folder(url: str) -> None:
    database = make_url(url).database
    assert database is not None
    Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _place(url: str) -> str:
    # What a URL of PostgreSQL holds beside the place is nobody's business.
    return "of PostgreSQL" if is_postgres(url) else make_url(url).render_as_string(hide_password=True)


def _first_line(error: DatabaseError) -> str:
    return str(error.orig).partition("\n")[0]
