import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import Busy, Corrupt, KeyGone, Misconfigured, SealBroken
from app.store.vault.person_key import PersonKey
from app.store.vault.ring import MasterRing
from app.store.vault.rows import VAULT_TABLES
from app.store.vault.vault import TRAIL, Vault

WHOSE = b"row 1"


@pytest.fixture(params=["sqlite", "postgres"])
def open_again(request, make_vault):
    """Opens the same vault once more, as another process has it."""
    if request.param == "sqlite":
        return make_vault
    kept = request.getfixturevalue("postgres_store").vault
    url = request.getfixturevalue("postgres_url")
    return lambda **more: make_vault(url, **more) if more else kept


@pytest.fixture
def vault(open_again):
    return open_again()


def rows_of(vault, table):
    with vault.database.reading() as rows:
        return rows._connection.execute(VAULT_TABLES.tables[table].select()).all()


def test_opens_what_it_sealed_in_every_process(vault, open_again):
    key_id, sealed = vault.seal("per_1", b"plain", WHOSE)
    assert len(sealed) == 12 + 5 + 16
    assert open_again().open(key_id, sealed, WHOSE) == vault.open(key_id, sealed, WHOSE) == b"plain"


def test_a_person_keeps_one_key_for_each_purpose(vault, open_again):
    first, _ = vault.seal("per_1", b"a", WHOSE)
    assert vault.seal("per_1", b"b", WHOSE)[0] == open_again().seal("per_1", b"c", WHOSE)[0] == first
    assert vault.seal("per_1", b"a", WHOSE, TRAIL)[0] != first
    assert vault.seal("per_2", b"a", WHOSE)[0] != first
    assert (vault.count("per_1"), vault.count("per_2"), vault.count("per_3")) == (2, 1, 0)


def test_processes_that_make_the_first_key_at_once_agree_on_it(vault, open_again):
    vaults = [vault, open_again()]
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda n: vaults[n % 2].pseudonym("per_1"), range(16)))
    assert len(names) == vault.count("per_1") == 1


def test_refuses_what_was_altered_or_moved(vault):
    key_id, sealed = vault.seal("per_1", b"plain", WHOSE)
    other, _ = vault.seal("per_2", b"plain", WHOSE)
    for wanted in ((key_id, sealed, b"row 2"), (key_id, sealed[:-1] + b"?", WHOSE), (other, sealed, WHOSE)):
        with pytest.raises(SealBroken):
            vault.open(*wanted)


def test_opens_many_in_their_order_and_says_of_each_why_not(vault):
    wanted = [(*vault.seal(f"per_{n}", f"plain {n}".encode(), WHOSE), WHOSE) for n in range(5)]
    vault.shred("per_1")
    wanted[3] = (*wanted[3][:2], b"elsewhere")
    opened = vault.open_many([*wanted, wanted[0]])
    assert [one for one in opened if isinstance(one, bytes)] == [b"plain 0", b"plain 2", b"plain 4", b"plain 0"]
    assert [type(opened[n]) for n in (1, 3)] == [KeyGone, SealBroken]
    assert vault.open_many([]) == []


def test_a_wrapped_key_moved_to_another_person_purpose_or_id_opens_nothing(vault):
    key_id, sealed = vault.seal("per_1", b"plain", WHOSE)
    for change in ({"person_id": "per_2"}, {"purpose": TRAIL}):
        with vault.database.writing() as rows:
            rows._connection.execute(VAULT_TABLES.tables["person_keys"].update().values(change))
        with pytest.raises(SealBroken):
            vault.open(key_id, sealed, WHOSE)
        with vault.database.writing() as rows:
            back = {"person_id": "per_1", "purpose": "template"}
            rows._connection.execute(VAULT_TABLES.tables["person_keys"].update().values(back))
    assert vault.open(key_id, sealed, WHOSE) == b"plain"


def test_what_was_shredded_anywhere_opens_nowhere_and_gets_no_key_again(vault, open_again):
    key_id, sealed = vault.seal("per_1", b"plain", WHOSE)
    vault.seal("per_1", b"trail", WHOSE, TRAIL)
    kept = vault.seal("per_2", b"plain", WHOSE)
    other = open_again()
    assert other.open(key_id, sealed, WHOSE) == b"plain"
    assert vault.shred("per_1") == 2
    for one in (vault, other):
        with pytest.raises(KeyGone):
            one.open(key_id, sealed, WHOSE)
        with pytest.raises(KeyGone):
            one.seal("per_1", b"more", WHOSE)
        with pytest.raises(KeyGone):
            one.store([PersonKey.fresh("per_1", TRAIL)])
        assert one.pseudonym("per_1") is None
        assert one.open(*kept, WHOSE) == b"plain"
    assert vault.shred("per_1") == 0
    assert vault.shredded(["per_1", "per_2", "per_3"]) == {"per_1"}
    assert vault.holders(["per_1", "per_2", "per_3"]) == {"per_2"}


def test_whom_it_shredded_cannot_be_read_from_its_rows(vault):
    vault.seal("somebody", b"plain", WHOSE)
    vault.shred("somebody")
    assert "somebody" not in repr(rows_of(vault, "shredded") + rows_of(vault, "person_keys"))


def test_a_pseudonym_stays_the_same_while_the_key_lives(vault, open_again):
    assert vault.pseudonym("per_1", make=False) is None
    name = vault.pseudonym("per_1")
    assert len(name) == 32
    assert open_again().pseudonym("per_1") == vault.pseudonym("per_1", make=False) == name
    assert vault.pseudonym("per_2") != name


def test_a_secret_is_the_same_in_every_process_and_another_for_each_name(vault, open_again):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda vault: vault.secret("audit"), [vault, open_again()] * 8))
    assert len(found) == 1
    assert len(found.pop()) == 32
    assert vault.secret("audit") != vault.secret("snapshot")


def test_new_keys_wait_until_their_rows_are_committed(vault, monkeypatch):
    monkeypatch.setattr("app.store.vault.vault.KEPT_AT_ONCE", 1)
    first, second = PersonKey.fresh("per_1", "template"), PersonKey.fresh("per_2", "template")
    vault.store([first])
    vault.note_kept([first.key_id])
    vault.store([second])
    kept = {row.key_id: row.kept for row in rows_of(vault, "person_keys")}
    assert kept == {first.key_id: True, second.key_id: False}


def test_an_exception_undoes_what_was_written(vault):
    def fail():
        with vault.database.writing() as rows:
            vault.insert(rows, [PersonKey.fresh("per_1", "template")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert vault.count("per_1") == 0


def test_another_master_key_opens_nothing_and_is_refused_by_name(vault, open_again, make_vault):
    key_id, sealed = vault.seal("per_1", b"plain", WHOSE)
    with pytest.raises(Misconfigured, match=r"is not the key .* ONELOOK_MASTER_KEY"):
        open_again(master=b"k" * 32)
    made = {vault.ring.ids[0], MasterRing([b"k" * 32]).ids[0]}
    vault.ring._take([b"k" * 32])
    try:
        with pytest.raises(SealBroken) as refusal:
            vault.open(key_id, sealed, WHOSE)
        assert all(id_ in refusal.value.detail for id_ in made)
    finally:
        vault.ring._take([bytes(range(32))])


def test_no_key_is_shown_in_its_texts(vault):
    key = PersonKey.fresh("per_1", "template")
    vault.store([key])
    shown = repr(key) + repr(vars(vault)) + repr(vars(vault.ring))
    assert not any(told in shown for told in (repr(key.secret), key.secret.hex(), repr(bytes(range(32)))))


def test_makes_no_vault_where_rows_need_the_one_that_is_missing(tmp_path):
    vault = Vault(f"sqlite:///{tmp_path / 'keys' / 'people.db'}", MasterRing([bytes(32)]))
    with pytest.raises(Misconfigured, match=r"people\.db.* are missing.*put them back"):
        vault.prepare(needed=True)
    assert not (tmp_path / "keys").exists()
    vault.prepare()
    vault.prepare(needed=True)
    vault.close()


def test_the_file_is_its_owners_alone_and_is_refused_otherwise(make_vault, tmp_path):
    make_vault().seal("per_1", b"plain", WHOSE)
    folder = tmp_path / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    if os.name == "posix":
        (folder / "people.db").chmod(0o640)
        with pytest.raises(Misconfigured, match="chmod 600"):
            make_vault()


@pytest.mark.parametrize("content", [b"no database, but long enough to be taken for one" * 100])
def test_a_file_that_is_no_vault_is_told_as_one_sentence(make_vault, tmp_path, content):
    (tmp_path / "keys").mkdir()
    path = tmp_path / "keys" / "people.db"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=r"cannot be read.*Put their copy back"):
        make_vault()


def test_keys_of_the_erased_leave_the_files_of_the_vault(make_vault, tmp_path):
    vault = make_vault()
    vault.seal("Unmistakable", b"plain", WHOSE)
    vault.seal("somebody-else", b"plain", WHOSE)
    (row,) = [row for row in rows_of(vault, "person_keys") if row.person_id == "Unmistakable"]

    def files() -> bytes:
        return b"".join(path.read_bytes() for path in (tmp_path / "keys").iterdir())

    traces = (row.wrapped, row.key_id.encode(), b"Unmistakable")
    assert all(trace in files() for trace in traces)
    vault.shred("Unmistakable")
    assert not any(trace in files() for trace in traces)
    assert b"somebody-else" in files()


def test_says_busy_while_another_process_writes(tmp_path, make_vault):
    make_vault()
    place = tmp_path / "keys" / "people.db"
    vault = Vault(f"sqlite:///{place}", MasterRing([bytes(range(32))]), timeout_s=0.05)
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        vault.seal("per_1", b"plain", WHOSE)
    other.execute("ROLLBACK")
    other.close()
    assert vault.seal("per_1", b"plain", WHOSE)
    vault.close()


def test_a_commit_is_on_the_disk(make_vault):
    with make_vault().database.writing() as rows:
        told = {
            name: rows._connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete")
        }
    assert told == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    assert Path(rows._connection.engine.url.database).name == "people.db"
