"""What somebody who reads the files finds, past the service."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from app.store.unit_of_work import SqlStore

NAME = "Wilhelmina Unmistakable"


@pytest.fixture
def files(tmp_path):
    def read() -> bytes:
        found = sorted(tmp_path.glob("onelook.db*"))
        assert [path.name for path in found][:2] == ["onelook.db", "onelook.db-shm"]
        return b"".join(path.read_bytes() for path in found)

    return read


def test_a_stolen_database_shows_no_vector(sql_store, person, template, files):
    written = [template(f"tpl_{n}") for n in range(20)]
    with sql_store.write() as uow:
        uow.people.add(person(name=NAME))
        for one in written:
            uow.templates.add(one)
        uow.commit()
    stolen = files()
    # The search itself works: a name is in clear.
    assert NAME.encode() in stolen
    for one in written:
        for vector in (one.vector, one.vector.astype(np.float64), one.vector.astype(np.float16)):
            # 16 bytes would be enough to recognise a vector by.
            assert vector.tobytes()[:16] not in stolen


def test_an_erased_person_leaves_neither_database_nor_log(sql_store, sealed, person, template, files):
    with sql_store.write() as uow:
        uow.people.add(person(name=NAME, metadata={"note": "m" * 9000 + NAME}, consent=f"{NAME} agreed"))
        uow.people.add(person("per_2", name="Somebody Who Stays"))
        for n in range(30):
            uow.templates.add(template(f"tpl_{n}", "per_1" if n % 2 else "per_2"))
        uow.commit()
    written = sealed()
    mine, others = ([blob for id_, blob in written.items() if int(id_[4:]) % 2 == n] for n in (1, 0))
    assert (len(mine), len(others)) == (15, 15)
    before = files()
    assert NAME.encode() in before
    assert all(blob in before for blob in written.values())

    with sql_store.write() as uow:
        uow.people.erase("per_1")
        uow.commit()
    after = files()
    assert NAME.encode() not in after
    assert NAME.casefold().encode() not in after
    assert not any(blob in after for blob in mine)
    assert all(blob in after for blob in others)


def test_a_removed_template_leaves_too(sql_store, sealed, person, template, files):
    with sql_store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template())
        uow.commit()
    (blob,) = sealed().values()
    assert blob in files()
    with sql_store.write() as uow:
        uow.templates.remove("per_1", "tpl_1")
        uow.commit()
    assert blob not in files()


def test_a_reader_in_the_way_does_not_fail_the_erasure__a_later_commit_sweeps(sql_store, person, files, monkeypatch):
    monkeypatch.setattr("app.store.sqlite.SWEEP_AGAIN_S", 0.0)
    with sql_store.write() as uow:
        uow.people.add(person(name=NAME))
        uow.people.add(person("per_2"))
        uow.commit()
    with sql_store._database.reading.connect() as reader:
        # An open cursor holds on to the log as it was.
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM persons").all()
        with sql_store.write() as uow:
            assert uow.people.erase("per_1") == 0
            uow.commit()
        with sql_store.read() as uow:
            assert uow.people.get("per_1") is None
        assert NAME.encode() in files()
        reader.exec_driver_sql("COMMIT")
    with sql_store.write() as uow:
        uow.people.replace(person("per_2", revision=2))
        uow.commit()
    assert NAME.encode() not in files()


def test_a_new_start_sweeps_what_a_killed_process_left(url, make_vault, person, tmp_path):
    killed = SqlStore(url, make_vault())
    with killed.write() as uow:
        uow.people.add(person())
        uow.commit()
    log = Path(f"{tmp_path}/onelook.db-wal")
    with killed.write() as uow:
        uow.people.replace(person(name=NAME, revision=2))
        uow.commit()
    assert log.stat().st_size > 0
    restarted = SqlStore(url, make_vault())
    with restarted.write() as uow:
        uow.people.add(person("per_2"))
        uow.commit()
    assert log.stat().st_size == 0
    restarted.close()
    killed.close()


@pytest.fixture
def sealed(url):
    """Template id -> the bytes that it is stored as."""

    def read() -> dict[str, bytes]:
        engine = create_engine(url)
        with engine.connect() as connection:
            found = dict(connection.execute(text("SELECT id, sealed FROM templates")).all())
        engine.dispose()
        return found

    return read
