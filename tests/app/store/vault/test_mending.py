from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import create_engine, text

from app.errors import Busy, KeyGone
from app.store.unit_of_work import SqlStore
from app.store.vault import mending, sealing
from app.store.vault.mending import mend
from app.store.vault.person_key import PersonKey
from app.store.vault.rows import VAULT_TABLES

MASTER = bytes(range(32))


@pytest.fixture(params=["sqlite", "postgres"])
def sql(request):
    return request.getfixturevalue("sql_store" if request.param == "sqlite" else "postgres_store")


@pytest.fixture
def enrol(sql, person, template):
    def put(*numbers, store=sql):
        with store.write() as uow:
            for n in numbers:
                uow.people.add(person(f"per_{n}"))
                uow.templates.add(template(f"tpl_{n}", f"per_{n}"))
            uow.commit()

    return put


def erase(store, person_id):
    with store.write() as uow:
        uow.people.erase(person_id)
        uow.commit()


def keys(store):
    with store.vault.database.reading() as rows:
        return {row.key_id: row for row in rows._connection.execute(VAULT_TABLES.tables["person_keys"].select())}


def holders(store):
    return {row.person_id for row in keys(store).values()}


@pytest.fixture
def unable_to_shred(monkeypatch):
    """A vault that shreds nothing: what a process leaves behind that is killed right after the commit."""

    def refuse(*person_ids, **more):
        raise Busy

    def of(store):
        monkeypatch.setattr(store.vault, "shred", refuse)
        return monkeypatch.undo

    return of


def test_an_erasure_shreds_once_it_is_committed_and_not_when_it_is_rolled_back(sql, enrol):
    enrol(1, 2)
    with sql.write() as uow:
        uow.people.erase("per_1")
    assert holders(sql) == {"per_1", "per_2"}
    erase(sql, "per_1")
    assert holders(sql) == {"per_2"}


def test_a_start_finishes_the_erasure_of_a_process_that_was_killed(sql, enrol, unable_to_shred):
    enrol(*range(5))
    again = unable_to_shred(sql)
    for n in (1, 3):
        erase(sql, f"per_{n}")
    again()
    assert len(holders(sql)) == 5
    mend(sql)
    assert holders(sql) == {"per_0", "per_2", "per_4"}
    with pytest.raises(KeyGone):
        sql.vault.seal("per_1", b"more", b"")


def test_so_does_the_next_erasure_by_its_receipt(sql, enrol, unable_to_shred, noon):
    from app.domain.person import Receipt

    enrol(1, 2, 3)
    again = unable_to_shred(sql)
    with sql.write() as uow:
        uow.people.erase("per_1")
        uow.erasures.add(Receipt("era_1", "per_1", noon, {}, 1))
        uow.commit()
    again()
    erase(sql, "per_2")
    assert holders(sql) == {"per_3"}


def test_a_start_sweeps_keys_whose_rows_never_came_and_no_others(sql, enrol, monkeypatch):
    enrol(1, 2)
    orphan, young = PersonKey.fresh("per_none", "template"), PersonKey.fresh("per_soon", "template")
    sql.vault.store([orphan])
    mend(sql)
    # All of them are younger than any transaction may be: nothing is touched.
    assert len(keys(sql)) == 3
    monkeypatch.setattr(mending, "WAITING_AT_MOST", timedelta(seconds=-1))
    mend(sql)
    assert holders(sql) == {"per_1", "per_2"}
    assert all(row.kept for row in keys(sql).values())
    monkeypatch.undo()
    sql.vault.store([young])
    mend(sql)
    assert "per_soon" in holders(sql)


def test_keys_that_were_in_use_are_kept_whatever_the_database_says(sql, enrol, monkeypatch):
    monkeypatch.setattr("app.store.vault.vault.KEPT_AT_ONCE", 1)
    enrol(1)
    enrol(2)
    # The second enrolment noted that the first one's row was committed. Then another database is opened in its stead.
    with sql.write() as uow:
        uow.connection.execute(text("DELETE FROM templates"))
        uow.connection.commit()
    monkeypatch.setattr(mending, "WAITING_AT_MOST", timedelta(seconds=-1))
    mend(sql)
    assert holders(sql) == {"per_1"}


def test_a_clean_stop_notes_the_last_keys_too(url, make_vault, enrol, sql_store):
    store = SqlStore(url, make_vault())
    enrol(1, store=store)
    assert not any(row.kept for row in keys(store).values())
    store.close()
    assert all(row.kept for row in keys(sql_store).values())


@pytest.fixture
def of_the_first_version(url, sql_store, enrol, template):
    """Twelve templates that the master key itself sealed, one of them damaged; their vectors."""
    enrol(*range(12), store=sql_store)
    with sql_store.read() as uow:
        vectors = {one.id: one.vector for one in uow.templates.of_model("model")}
    engine, master_id = create_engine(url), sql_store.vault.ring.ids[0]
    with engine.begin() as connection:
        for id_, vector in vectors.items():
            whose = f"per_{id_[4:]}"
            sealed = sealing.seal(AESGCM(MASTER), vector.tobytes(), sealing.template_belonging(id_, whose, "model"))
            row = {"id": id_, "key": master_id, "sealed": sealed if id_ != "tpl_7" else b"?" * 540}
            connection.execute(text("UPDATE templates SET key_id = :key, sealed = :sealed WHERE id = :id"), row)
    engine.dispose()
    with sql_store.vault.database.writing() as rows:
        rows.drop(list(keys(sql_store)))
    del vectors["tpl_7"]
    return vectors


def assert_all_open(store, vectors):
    with store.read() as uow:
        unreadable = []
        held = {one.id: one.vector for one in uow.templates.of_model("model", unreadable=unreadable.append)}
    assert unreadable == ["tpl_7"]
    assert {id_: vector.tobytes() for id_, vector in held.items()} == {
        id_: vector.tobytes() for id_, vector in vectors.items()
    }


@pytest.mark.parametrize("piece", [1, 5, 500])
def test_a_start_gives_the_rows_of_the_first_version_keys_of_their_persons(
    sql_store, of_the_first_version, monkeypatch, piece, tmp_path
):
    monkeypatch.setattr(mending, "PIECE", piece)
    before = (tmp_path / "onelook.db").read_bytes() + (tmp_path / "onelook.db-wal").read_bytes()
    with sql_store.read() as uow:
        sealed = uow.connection.execute(text("SELECT sealed FROM templates WHERE id <> 'tpl_7'")).scalars().all()
    assert all(blob in before for blob in sealed)
    mend(sql_store)
    assert_all_open(sql_store, of_the_first_version)
    assert holders(sql_store) == {f"per_{n}" for n in range(12) if n != 7}
    # What the master key itself opens has left the files.
    after = b"".join(file.read_bytes() for file in tmp_path.glob("onelook.db*"))
    assert not any(blob in after for blob in sealed)


def test_and_goes_on_where_a_start_was_killed(sql_store, of_the_first_version, monkeypatch):
    monkeypatch.setattr(mending, "PIECE", 3)
    commit, left = type(sql_store._database).commit, 2

    def killed(self, connection, *, removed):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        commit(self, connection, removed=removed)

    monkeypatch.setattr(sql_store._database, "commit", killed.__get__(sql_store._database))
    with pytest.raises(KeyboardInterrupt):
        mend(sql_store)
    monkeypatch.undo()
    with sql_store.read() as uow:
        under = uow.connection.execute(text("SELECT count(*) FROM templates WHERE key_id LIKE 'pk_%'")).scalar()
    assert under == 6
    mend(sql_store)
    assert_all_open(sql_store, of_the_first_version)
