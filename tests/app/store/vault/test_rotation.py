import base64
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

import app
from app.domain.audit import AuditFilter, Entry
from app.errors import Misconfigured
from app.settings import Settings
from app.store.opening import open_rows
from app.store.postgres.engine import PostgresDatabase
from app.store.sqlite import SqliteDatabase
from app.store.vault import rotation
from app.store.vault.ring import master_id, read_keys
from app.store.vault.rotation import rotate
from app.store.vault.rows import VAULT_TABLES
from app.store.vault.vault import TRAIL

PEOPLE = 4
ROOT = Path(app.__file__).parents[1]
numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request, tmp_path):
    """A home, and where that is asked for a PostgreSQL database of its own, keys of people and all."""
    if request.param == "sqlite":
        return Settings(home=tmp_path / "home")
    server = request.getfixturevalue("postgres_server")
    request.getfixturevalue("_postgres_database")
    name = f"rotation_{next(numbers)}"
    server.do(f"CREATE DATABASE {name} OWNER onelook")
    return Settings(home=tmp_path / "home", database_url=server.url(name, user="onelook"))


@pytest.fixture
def start(settings):
    made = []

    def begin(using=settings):
        made.append(open_rows(using))
        return made[-1]

    yield begin
    for store in made:
        store.close()


@pytest.fixture
def looks(person, template, noon):
    """Enrols people with two templates each and a row of the trail; template id -> vector."""

    def enrol(store, who=range(PEOPLE)):
        put = {}
        for n in who:
            with store.write() as uow:
                uow.people.add(person(f"per_{n}"))
                for one in (template(f"tpl_{n}_{k}", f"per_{n}") for k in range(2)):
                    uow.templates.add(one)
                    put[one.id] = one.vector.tobytes()
                uow.audit.append(Entry("person.enrolled", noon, person_id=f"per_{n}", private={"note": f"note {n}"}))
                uow.commit()
        return put

    return enrol


def held(store):
    with store.read() as uow:
        return {one.id: one.vector.tobytes() for one in uow.templates.of_model("model")}


def rows(store, table):
    with store.vault.database.reading() as vault:
        return vault._connection.execute(VAULT_TABLES.tables[table].select()).all()


def told(store):
    """What the trail tells of each person."""
    with store.read() as uow:
        return {record.private["note"] for record in uow.audit.page(AuditFilter(), before=None, limit=1000)}


def assert_whole(store, put, settings):
    """Everything opens, under one master key, and no key is there that nothing needs."""
    (master,) = store.vault.ring.ids
    assert [master] == [master_id(key) for key in read_keys(settings.master_key_path())]
    assert held(store) == put
    keys = rows(store, "person_keys")
    assert {row.master_id for row in (*keys, *rows(store, "secrets"))} == {master}
    with store.read() as uow:
        named = set(uow.connection.execute(text("SELECT key_id FROM templates")).scalars())
    assert {row.key_id for row in keys if row.purpose == "template"} == named
    assert len(named) == len({row.person_id for row in keys if row.purpose == "template"})


def test_gives_everything_new_keys_and_leaves_what_it_says_as_it_was(start, looks, settings):
    store = start()
    put, names = looks(store), [store.vault.find(f"per_{n}", TRAIL).pseudonym() for n in range(PEOPLE)]
    secret, before = store.vault.secret("audit"), {row.key_id: row for row in rows(store, "person_keys")}
    (old,) = store.vault.ring.ids
    done = rotate(store)
    assert (done.templates, done.keys, done.retired) == (2 * PEOPLE, 2 * PEOPLE, True)
    assert done.master_id != old
    assert store.vault.ring.ids == (done.master_id,)
    assert_whole(store, put, settings)
    after = {row.key_id: row for row in rows(store, "person_keys")}
    for row in before.values():
        assert (row.key_id in after) == (row.purpose == TRAIL)
        assert not any(row.wrapped == fresh.wrapped for fresh in after.values())
    assert [store.vault.find(f"per_{n}", TRAIL).pseudonym() for n in range(PEOPLE)] == names
    assert told(store) == {f"note {n}" for n in range(PEOPLE)}
    assert store.vault.secret("audit") == secret
    store.close()
    assert held(start()) == put


def test_can_be_done_again_and_again(start, looks, settings):
    store = start()
    put, ids = looks(store), {*store.vault.ring.ids}
    for _ in range(3):
        ids.add(rotate(store).master_id)
        assert_whole(store, put, settings)
    assert len(ids) == 4


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Ends the process at the n-th thing that becomes durable: just before it, or just after."""

    def __init__(self, monkeypatch):
        self._left = None
        self.after = False
        for owner, name in ((SqliteDatabase, "commit"), (PostgresDatabase, "commit"), (Path, "replace")):
            monkeypatch.setattr(owner, name, self._fused(getattr(owner, name)))

    def set(self, number, *, after):
        self._left, self.after = number, after

    def _fused(self, do):
        def done(*given, **more):
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    self._left = None
                    if self.after:
                        do(*given, **more)
                    raise Killed
            return do(*given, **more)

        return done


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_point_and_run_again_it_finishes_and_nothing_is_unreadable(
    start, looks, settings, monkeypatch, after
):
    monkeypatch.setattr(rotation, "PIECE", 3)
    fuse, killed = Fuse(monkeypatch), 0
    first = start()
    put = looks(first)
    first.close()
    for number in itertools.count():
        store = start()
        fuse.set(number, after=after)
        try:
            rotate(store)
        except Killed:
            killed += 1
        else:
            assert number == killed
            break
        finally:
            fuse.set(10**9, after=after)
        # What it leaves behind: the other processes read on, and so does the next start.
        assert held(store) == put
        store.close()
        store = start()
        assert held(store) == put
        fresh = looks(store, [PEOPLE + number])
        rotate(store)
        assert_whole(store, put | fresh, settings)
        with store.write() as uow:
            uow.people.erase(f"per_{PEOPLE + number}")
            uow.commit()
        store.close()
    assert killed >= 10


class Others:
    """Somebody else who reads, enrols and erases until told to end."""

    def __init__(self, store, person, template):
        self._store, self._person, self._template = store, person, template
        self._ends = threading.Event()
        self.wrong, self.made, self.erased = [], {}, set()
        self._threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._read, self._change)]
        for thread in self._threads:
            thread.start()

    def end(self):
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    def _guarded(self, work):
        try:
            for n in itertools.count():
                # With a pause, or everything is about who gets the interpreter's lock.
                if self._ends.wait(0.005):
                    return
                work(n)
        except BaseException as e:
            self.wrong.append(e)

    def _read(self, n):
        gone = frozenset(self.erased)
        with self._store.read() as uow:
            unreadable = []
            found = list(uow.templates.of_model("model", unreadable=unreadable.append))
            again = uow.templates.with_ids([one.id for one in found[:20]], unreadable=unreadable.append)
        self.wrong += unreadable + [one.id for one in (*found, *again) if one.person_id in gone]

    def _change(self, n):
        with self._store.write() as uow:
            uow.people.add(self._person(f"per_{1000 + n}"))
            # And one more of somebody who is being given a new key.
            both = self._template(f"new_{n}", f"per_{1000 + n}"), self._template(f"more_{n}", f"per_{20 + n % 20}")
            for one in both:
                uow.templates.add(one)
            uow.commit()
        self.made |= {one.id: one.vector.tobytes() for one in both}
        if n % 3 == 0 and n < 60:
            with self._store.write() as uow:
                uow.people.erase(f"per_{n // 3}")
                uow.commit()
            self.erased.add(f"per_{n // 3}")


@pytest.mark.slow
def test_others_read_enrol_and_erase_meanwhile(start, looks, settings, monkeypatch, person, template):
    monkeypatch.setattr(rotation, "PIECE", 2)
    mine, theirs = start(), start()
    looks(mine, range(40))
    others = Others(theirs, person, template)
    for _ in range(3):
        assert rotate(mine).retired
    others.end()
    assert others.wrong == []
    assert len(others.erased) > 3
    put = held(mine)
    assert held(theirs) == put
    assert put.items() >= others.made.items()
    assert len(put) == 2 * (40 - len(others.erased)) + len(others.made)
    rotate(mine)
    assert_whole(mine, put, settings)


def test_two_at_once_agree(start, looks, settings, monkeypatch):
    monkeypatch.setattr(rotation, "PIECE", 2)
    stores = [start(), start()]
    put, wrong = looks(stores[0], range(20)), []

    def work(store):
        try:
            rotate(store)
        except BaseException as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    rotate(stores[0])
    assert_whole(stores[0], put, settings)
    assert held(stores[1]) == put


CHILD = """
from app.settings import Settings
from app.store.vault import rotation
from app.store.opening import open_rows

rotation.PIECE = 2
store = open_rows(Settings.read())
print("rotating", flush=True)
rotation.rotate(store)
store.close()
"""


@pytest.mark.slow
def test_killed_by_the_operating_system_while_others_serve(start, looks, settings, monkeypatch):
    store = start()
    put, chance = looks(store, range(60)), random.Random(5)
    own = {name: value for name, value in os.environ.items() if not name.startswith("ONELOOK_")}
    own |= {"ONELOOK_HOME": str(settings.home), "PYTHONPATH": str(ROOT)}
    if settings.database_url is not None:
        own["ONELOOK_DATABASE_URL"] = settings.database_url
    killed = 0
    for n in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD], env=own, stdout=subprocess.PIPE, text=True)
        with child:
            assert child.stdout.readline() == "rotating\n"
            time.sleep(0.01 + 0.15 * chance.random())
            child.send_signal(signal.SIGKILL)
        killed += child.returncode == -signal.SIGKILL
        # Nothing is missing for a process that served all the time, which also goes on enrolling.
        assert held(store) == put
        put |= looks(store, [1000 + n])
    assert killed > 1
    rotate(store)
    assert_whole(store, held(store), settings)
    assert held(store) == put
    store.close()
    assert held(start()) == put


def test_what_cannot_be_opened_keeps_nobody_from_finishing(start, looks, settings):
    store = start()
    put = looks(store)
    with store.write() as uow:
        uow.connection.execute(text("UPDATE templates SET sealed = :junk WHERE id = 'tpl_1_0'"), {"junk": b"?" * 540})
        uow.commit()
    with store.vault.database.writing() as vault:
        keys = VAULT_TABLES.tables["person_keys"]
        damaged = keys.update().where(keys.c.person_id == "per_2", keys.c.purpose == "template")
        vault._connection.execute(damaged.values(wrapped=b"?" * 60))
    for id_ in ("tpl_1_0", "tpl_2_0", "tpl_2_1"):
        del put[id_]
    done = rotate(store)
    assert done.retired
    with store.read() as uow:
        unreadable = []
        found = {one.id: one.vector.tobytes() for one in uow.templates.of_model("model", unreadable=unreadable.append)}
    assert found == put
    assert sorted(unreadable) == ["tpl_1_0", "tpl_2_0", "tpl_2_1"]
    assert rotate(store).master_id != done.master_id


def test_keys_that_were_given_are_rotated_to_by_the_operator(start, looks, tmp_path, settings):
    old, new = bytes(range(32)), bytes(range(32, 64))

    def given(*keys):
        joined = ",".join(base64.b64encode(key).decode() for key in keys)
        return Settings.model_validate({**settings.model_dump(), "master_key": joined})

    store = start(given(old))
    put = looks(store)
    with pytest.raises(Misconfigured, match="ONELOOK_MASTER_KEY=<new>,<old>"):
        rotate(store)
    # Every process has both before anything is sealed anew; one that has both goes on with the one in use.
    both = start(given(new, old))
    assert held(both) == put
    put |= looks(both, [50])
    assert held(store) == put
    done = rotate(both)
    assert (done.master_id, done.retired) == (master_id(new), False)
    assert rotate(both) == rotation.Rotated(master_id(new), 0, 0, retired=False)
    assert held(start(given(new))) == put
    with pytest.raises(Misconfigured, match="is not the key"):
        start(given(old))
    assert not (settings.home / "keys" / "master.key").exists()
