from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from app.store.engine import writing_engine
from app.store.migrate import configuration, migrate
from app.store.tables import SIGHTINGS
from app.store.tables_of_work import METADATA


@pytest.fixture
def engine(tmp_path):
    engine = writing_engine(f"sqlite:///{tmp_path / 'onelook.db'}")
    yield engine
    engine.dispose()


def upgrade(engine, revision="head"):
    with engine.begin() as connection:
        command.upgrade(configuration(connection), revision)


def downgrade(engine, revision="base"):
    with engine.begin() as connection:
        command.downgrade(configuration(connection), revision)


def schema(engine):
    """Every statement that made the database, as SQLite keeps it."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master ORDER BY type, name"))
        return [tuple(row) for row in rows]


def test_make_what_the_code_expects(engine):
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_make_the_very_statements_that_the_tables_make(engine, tmp_path):
    upgrade(engine)
    direct = writing_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    METADATA.create_all(direct)
    made = {name: sql for _, name, sql in schema(engine) if "alembic" not in name}
    wanted = {name: sql for _, name, sql in schema(direct)}
    direct.dispose()

    def words(sql):
        return None if sql is None else sorted(sql.replace("(", " ").replace(")", " ").replace(",", " ").split())

    assert {name: words(sql) for name, sql in made.items()} == {name: words(sql) for name, sql in wanted.items()}


def test_go_up_down_and_up_again(engine):
    upgrade(engine)
    first = schema(engine)
    downgrade(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    upgrade(engine)
    assert schema(engine) == first


def test_leave_nothing_behind_when_they_fail_in_the_middle(engine):
    def fail_in_the_middle():
        with engine.begin() as connection:
            command.upgrade(configuration(connection), "head")
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        fail_in_the_middle()
    assert schema(engine) == []


def test_stand_in_one_line_without_branches(engine):
    with engine.begin() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
    assert len(script.get_heads()) == len(script.get_bases()) == 1
    newest_first = [version.revision for version in script.walk_revisions()]
    assert newest_first == sorted(newest_first, reverse=True)


def test_are_recorded_in_the_database(engine):
    migrate(engine.url.render_as_string())
    with engine.connect() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
        assert heads == tuple(ScriptDirectory.from_config(configuration(connection)).get_heads())


def test_import_nothing_from_app(engine):
    with engine.begin() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
    for version in script.walk_revisions():
        source = version.module.__loader__.get_data(version.path).decode()
        assert "from app" not in source
        assert "import app" not in source


def test_whoever_was_enrolled_before_sightings_were_written_down_counts_as_seen(engine):
    upgrade(engine, "0001")
    before = datetime.now(UTC).replace(tzinfo=None)
    with engine.begin() as connection:
        columns = "id, name, name_folded, created_at, updated_at, revision, metadata, groups, active, face_opt_out"
        long_ago = "'2020-01-01 00:00:00.000000'"
        values = f"'per_1', 'Ada', 'ada', {long_ago}, {long_ago}, 1, '{{}}', '[]', 1, 0"
        connection.execute(text(f"INSERT INTO persons ({columns}) VALUES ({values})"))
    upgrade(engine)
    with engine.connect() as connection:
        ((person_id, seen_at),) = connection.execute(select(SIGHTINGS.c.person_id, SIGHTINGS.c.seen_at)).all()
    assert person_id == "per_1"
    assert before <= seen_at.replace(tzinfo=None) <= datetime.now(UTC).replace(tzinfo=None)


def test_a_home_of_an_earlier_version_keeps_its_templates_and_jobs_and_says_no_model_yet(engine):
    upgrade(engine, "0002")
    now = datetime(2026, 3, 1, tzinfo=UTC).isoformat(" ")
    with engine.begin() as connection:
        person = "'p1', 'Ann', 'ann', :now, :now, 1, NULL, '{}', '[]', NULL, 1, 0, NULL, NULL"
        connection.execute(text(f"INSERT INTO persons VALUES ({person})"), {"now": now})
        template = "'t1', 'p1', 'model', '{}', :now, 'key', x'00'"
        connection.execute(text(f"INSERT INTO templates VALUES ({template})"), {"now": now})
        job = "'j1', 'enroll_batch', 'queued', 'local', 'd', '{}', 0, 1, 0, 5, NULL, NULL, 0, NULL, :now, NULL, NULL, 0"
        connection.execute(text(f"INSERT INTO jobs VALUES ({job}, NULL, :now)"), {"now": now})
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, model_id FROM templates")).all() == [("t1", "model")]
        assert connection.execute(text("SELECT id, result FROM jobs")).all() == [("j1", None)]
        assert connection.execute(text("SELECT count(*) FROM served_model")).scalar() == 0
    downgrade(engine, "0002")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM jobs")).scalar() == 1
        assert "template_parts" not in inspect(connection).get_table_names()
