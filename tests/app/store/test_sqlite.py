import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from app.store import sqlite
from app.store.sqlite import reading_engine, writing_engine


@pytest.mark.parametrize("make", [writing_engine, reading_engine])
@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("busy_timeout", 2500),
    ],
)
def test_every_connection_is_told_the_same(url, make, pragma, value):
    engine = make(url, 2.5)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    engine.dispose()


def test_a_reading_connection_cannot_write(url):
    engine = reading_engine(url, 10)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM persons")
    engine.dispose()


def test_while_somebody_reads_for_long_an_owed_log_is_not_swept_at_every_commit(url, monkeypatch):
    database = sqlite.SqliteDatabase(url, 10)
    with database.writing.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE rows_of_it (n INTEGER)")
        connection.commit()
    sweeps, sweep = [], sqlite.truncate_wal
    monkeypatch.setattr(sqlite, "truncate_wal", lambda *given: sweeps.append(given[1]) or sweep(*given))
    reader = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rows_of_it").fetchone()

    def commit(removed):
        connection = database.begin()
        connection.exec_driver_sql("INSERT INTO rows_of_it VALUES (1)")
        database.commit(connection, removed=removed)
        connection.close()

    commit(removed=True)
    for _ in range(20):
        commit(removed=False)
    assert sweeps == [sqlite.SWEEP_TIMEOUT_MS]
    reader.close()
    database._sweep_from_s = 0.0
    commit(removed=False)
    assert sweeps == [sqlite.SWEEP_TIMEOUT_MS, 0]
    assert Path(url.removeprefix("sqlite:///") + "-wal").stat().st_size == 0
    database.close()


def test_connections_that_open_a_new_file_at_once_all_succeed(tmp_path):
    # Without a second try some of these fail at once with `database is locked`, however long they may wait.
    for round_ in range(20):
        barrier, modes = threading.Barrier(4), []

        def open_(url=f"sqlite:///{tmp_path / f'{round_}.db'}", barrier=barrier, modes=modes):
            engine = writing_engine(url, 10)
            barrier.wait(10)
            with engine.connect() as connection:
                modes.append(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
            engine.dispose()

        threads = [threading.Thread(target=open_) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert modes == ["wal"] * 4
