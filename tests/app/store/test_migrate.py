import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

import app
from app.errors import Corrupt, Misconfigured
from app.store.migrate import migrate
from app.store.tables_of_work import METADATA

ROOT = Path(app.__file__).parents[1]


def names_of_tables(url):
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_makes_folder_file_and_tables(tmp_path):
    url = f"sqlite:///{tmp_path / 'a % b' / 'deep' / 'onelook.db'}"
    migrate(url)
    assert set(METADATA.tables) < names_of_tables(url)


def test_does_nothing_the_second_time(url, sql_store, person):
    with sql_store.write() as uow:
        uow.people.add(person())
        uow.commit()
    migrate(url)
    with sql_store.read() as uow:
        assert uow.people.get("per_1") == person()


def test_refuses_a_database_that_is_newer_than_the_code(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Misconfigured, match="9999"):
        migrate(url)


def test_refuses_a_file_that_is_no_database_and_leaves_it_alone(tmp_path):
    path = tmp_path / "onelook.db"
    path.write_bytes(b"a holiday diary, and no database\n" * 50)
    with pytest.raises(Corrupt, match="not a database"):
        migrate(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"a holiday diary")


def test_refuses_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "onelook.db").mkdir()
    with pytest.raises(Misconfigured, match=r"onelook\.db"):
        migrate(f"sqlite:///{tmp_path / 'onelook.db'}")


STARTED = """
import sys
from app.store.migrate import migrate

print("ready", flush=True)
sys.stdin.readline()
migrate(sys.argv[1])
print("done", flush=True)
"""


def test_processes_that_start_at_once_all_succeed(tmp_path):
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", STARTED, url],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            out, err = child.communicate(timeout=60)
            assert (out, err, child.returncode) == ("done\n", "", 0)
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert set(METADATA.tables) < names_of_tables(url)
