"""The table of vectors in clear: made and filled where ONELOOK_SEARCH=pgvector is chosen, dropped where it is not."""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.errors import Misconfigured
from app.store.database import Report
from app.store.faults import state_of
from app.store.pgvector.clear import ClearVectors
from app.store.unit_of_work import SqlStore

# Templates that one transaction of a fill writes: others write in between.
PIECE = 1000

_EXTENSION = text("CREATE EXTENSION IF NOT EXISTS vector")
_TABLE = (
    text(
        "CREATE TABLE IF NOT EXISTS template_vectors ("
        ' template_id text COLLATE "C" NOT NULL REFERENCES templates (id) ON DELETE CASCADE,'
        ' person_id text COLLATE "C" NOT NULL,'
        ' model_id text COLLATE "C" NOT NULL,'
        # Out of line a scan would look each of them up.
        " vector vector(128) STORAGE PLAIN NOT NULL,"
        # While the next model is prepared a template has a vector of each.
        " PRIMARY KEY (template_id, model_id)"
        # An erased vector lies in the files until it is vacuumed away: after at most so many, and the default's minute.
        ") WITH (autovacuum_vacuum_scale_factor = 0.01)"
    ),
    text("CREATE INDEX IF NOT EXISTS ix_template_vectors_owner ON template_vectors (model_id, person_id)"),
)
_OLDER_KEY = text(
    "SELECT cardinality(conkey) = 1 FROM pg_constraint"
    " WHERE conrelid = to_regclass('template_vectors') AND contype = 'p'"
)
_NEW_KEY = text(
    "ALTER TABLE template_vectors DROP CONSTRAINT template_vectors_pkey, ADD PRIMARY KEY (template_id, model_id)"
)
_GRAPH = (
    # A million templates are built in memory; without that it takes hours.
    text("SELECT set_config('maintenance_work_mem', '1GB', true), set_config('statement_timeout', '0', true)"),
    text("CREATE INDEX IF NOT EXISTS ix_template_vectors_graph ON template_vectors USING hnsw (vector vector_ip_ops)"),
)
_DROP = text("DROP TABLE IF EXISTS template_vectors")
_MISSING = text(
    "SELECT t.id FROM templates t WHERE t.id > :after"
    " AND NOT EXISTS (SELECT FROM template_vectors v WHERE v.template_id = t.id AND v.model_id = t.model_id)"
    " ORDER BY t.id LIMIT :most"
)
_MEND_OWNERS = text(
    "UPDATE template_vectors v SET person_id = t.person_id FROM templates t"
    " WHERE t.id = v.template_id AND t.person_id <> v.person_id"
)
_GRAPH_IS_THERE = text("SELECT to_regclass('ix_template_vectors_graph') IS NOT NULL")
# The right to make an extension; and the server has none of that name.
_REFUSED_STATES = ("42501", "0A000", "58P01")


def keep_vectors(store: SqlStore) -> None:
    """Makes the table, empty, where it is not there: whoever adds a template fills it from then on.

    Raises Misconfigured where the database has no pgvector and the user may not add it.
    """
    try:
        with store.write() as uow:
            connection = uow.connection
            connection.execute(_EXTENSION)
            for statement in _TABLE:
                connection.execute(statement)
            # Of a version in which a template had one vector only.
            if connection.execute(_OLDER_KEY).scalar():
                connection.execute(_NEW_KEY)
            uow.commit()
    except DBAPIError as e:
        if state_of(e) not in _REFUSED_STATES:
            raise
        raise Misconfigured(
            "ONELOOK_SEARCH=pgvector needs the extension `vector` in the database: install pgvector 0.8 on the server,"
            f" and let a superuser run CREATE EXTENSION vector there ({str(e.orig).partition(chr(10))[0]})"
        ) from e


def fill(store: SqlStore, unreadable: Callable[[str], object]) -> int:
    """Opens every template that has no row in the table, writes that row, and makes the graph; how many rows.

    unreadable: called with the id of each that cannot be opened. Others write meanwhile, but not while the graph is
    made for the first time, which takes minutes for a million.
    """
    added, after = 0, ""
    while True:
        with store.write() as uow:
            ids = uow.connection.execute(_MISSING, {"after": after, "most": PIECE}).scalars().all()
            if not ids:
                break
            templates = uow.templates.with_ids(ids, unreadable=unreadable)
            ClearVectors(uow.connection).add(templates)
            uow.commit()
        added, after = added + len(templates), ids[-1]
    with store.write() as uow:
        connection = uow.connection
        mended = connection.execute(_MEND_OWNERS).rowcount
        made = connection.execute(_GRAPH_IS_THERE).scalar()
        for statement in () if made else _GRAPH:
            connection.execute(statement)
        if mended or not made:
            uow.commit()
    return added


def drop_vectors(store: SqlStore, report: Report) -> bool:
    """Drops the table, where there is one; whether there was. The extension stays: it may be somebody else's too.

    A service that still searches in it answers 503 from then on.
    """
    with store.read() as uow:
        if not ClearVectors(uow.connection).kept:
            return False
    with store.write() as uow:
        connection = uow.connection
        if not ClearVectors(connection).kept:
            return False
        connection.execute(_DROP)
        uow.commit()
    report("the table template_vectors, with vectors in clear, was dropped: ONELOOK_SEARCH is faiss")
    return True
