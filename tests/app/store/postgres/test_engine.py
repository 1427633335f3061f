import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import bindparam, literal_column, select, text
from sqlalchemy.exc import DBAPIError

import app
from app.errors import Busy, NotAcknowledged, StoreAway
from app.store.engine import open_database
from app.store.migrate import migrate
from app.store.postgres import engine as postgres
from app.store.tables import TEMPLATES, listed
from app.store.tables_of_work import METADATA
from app.store.unit_of_work import SqlStore

ROOT = Path(app.__file__).parents[1]


@pytest.fixture
def database(postgres_url):
    database = open_database(postgres_url, timeout_s=5)
    yield database
    database.close()


@pytest.fixture
def make_store(make_vault):
    made = []

    def make(url, **more):
        made.append(SqlStore(url, make_vault(), **more))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def fresh(postgres_server):
    """URL of a database without tables."""
    postgres_server.do("CREATE DATABASE fresh OWNER onelook")
    yield postgres_server.url("fresh", user="onelook")
    postgres_server.do("DROP DATABASE fresh WITH (FORCE)")


@pytest.fixture
def end_connections(postgres_server):
    """Ends every connection of the service, as a restart of the server does."""

    def end():
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onelook'"
        assert postgres_server.do(ours)

    return end


@pytest.mark.parametrize(
    ("name", "when_writing", "when_reading"),
    [
        ("synchronous_commit", "remote_apply", None),
        ("default_transaction_isolation", "read committed", "read committed"),
        ("default_transaction_read_only", "off", "on"),
        ("lock_timeout", "5s", "5s"),
        ("statement_timeout", "30s", "0"),
        ("idle_in_transaction_session_timeout", "1min", "0"),
        ("client_min_messages", "warning", None),
        ("TimeZone", "UTC", "UTC"),
        ("application_name", "onelook", "onelook"),
    ],
)
def test_every_connection_is_told_the_same(database, name, when_writing, when_reading):
    with database.begin() as writing, database.reader() as reading:
        assert writing.execute(text(f"SHOW {name}")).scalar() == when_writing
        if when_reading is not None:
            assert reading.execute(text(f"SHOW {name}")).scalar() == when_reading


def test_every_text_is_compared_by_its_bytes_and_every_number_has_64_bits(database):
    narrow = text(
        "SELECT relname || '.' || attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
        " LEFT JOIN pg_collation l ON l.oid = attcollation"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped"
        " AND relname <> 'alembic_version' AND (collname <> 'C' OR atttypid = 'int4'::regtype)"
    )
    with database.reader() as connection:
        assert connection.execute(narrow).scalars().all() == []


def test_a_list_is_one_parameter_of_a_statement_that_is_prepared_once(database):
    query = select(TEMPLATES.c.id).where(TEMPLATES.c.id.in_(listed("ids")))
    prepared = "SELECT calls_of.total FROM (SELECT generic_plans + custom_plans AS total, statement FROM"
    with database.reader() as connection:
        for ids in ("[]", '["a"]', '["a", "b\\"", "c"]') * 4:
            assert connection.execute(query, {"ids": ids}).all() == []
        rows = connection.execute(
            text(f"{prepared} pg_prepared_statements) calls_of WHERE statement LIKE '%jsonb_array_elements_text%'")
        )
        assert [total for (total,) in rows if total > 1] == [12]


def test_a_list_gives_its_elements_whatever_they_hold(database):
    element = literal_column("value")
    with database.reader() as connection:
        query = select(element).select_from(listed("texts").subquery())
        given = ["a", "a", "", 'quote " and \\ and %s', "é😀", "null"]
        assert connection.execute(query, {"texts": json.dumps(given)}).scalars().all() == given
        unknown = select(bindparam("x", "b").in_(listed("texts")))
        assert connection.execute(unknown, {"texts": '["a", "b"]'}).scalar() is True


class Follower(threading.Thread):
    """Follows the feed, as an index does, until it is told to end."""

    def __init__(self, store):
        super().__init__()
        self._store, self.followed, self.ended = store, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            self.catch_up()
        self.catch_up()

    def catch_up(self):
        with self._store.read() as uow:
            head = uow.changes.head()
            while self.last < head:
                self.followed.extend(uow.changes.since(self.last, 7))

    @property
    def last(self):
        return self.followed[-1].seq if self.followed else 0


def test_racing_writers_and_a_reader_that_follows_miss_nothing(postgres_url, make_store, person):
    """Without the lock a tenth of the rows appear behind the seq that the reader has passed."""
    stores = [make_store(postgres_url) for _ in range(7)]

    def write(store, name):
        for number in range(40):
            with store.write() as uow:
                uow.people.add(person(f"per_{name}_{number}"))
                uow.people.replace(person(f"per_{name}_{number}", revision=2))
                # A third of them is taken back, which leaves a gap.
                if number % 3:
                    uow.commit()

    follower = Follower(stores[0])
    writers = [threading.Thread(target=write, args=(store, n)) for n, store in enumerate(stores[1:])]
    for thread in (follower, *writers):
        thread.start()
    for writer in writers:
        writer.join(60)
    follower.ended.set()
    follower.join(60)
    with stores[0].read() as uow:
        written = uow.changes.since(0, 10_000)
    assert follower.followed == written
    assert len(written) == 6 * 26
    assert written[-1].seq > 6 * 26


RACING = """
import sys
from datetime import UTC, datetime
from app.domain.person import Person
from app.store.vault.ring import MasterRing
from app.store.unit_of_work import SqlStore
from app.store.vault.vault import Vault

store = SqlStore(sys.argv[1], Vault(sys.argv[2], MasterRing([bytes(range(32))])))
print("ready", flush=True)
sys.stdin.readline()
now = datetime.now(UTC)
for n in range(30):
    with store.write() as uow:
        counted = uow.people.get("counter")
        uow.people.replace(Person("counter", str(int(counted.name) + 1), now, now, revision=counted.revision + 1))
        uow.commit()
store.close()
"""


def test_processes_that_write_at_once_wait_for_each_other(postgres_url, make_store, person, tmp_path):
    store = make_store(postgres_url)
    with store.write() as uow:
        uow.people.add(person("counter", name="0"))
        uow.commit()
    at_once(RACING, postgres_url, 3, f"sqlite:///{tmp_path / 'keys' / 'people.db'}")
    with store.read() as uow:
        assert uow.people.get("counter").name == "90"


MIGRATING = """
import sys
from app.store.migrate import migrate

print("ready", flush=True)
sys.stdin.readline()
migrate(sys.argv[1])
"""


def test_processes_that_migrate_at_once_all_succeed(fresh):
    at_once(MIGRATING, fresh, 3)
    with psycopg.connect(fresh) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert set(METADATA.tables) < {name for (name,) in names}


def at_once(program, url, count, *arguments):
    """Runs so many processes of the program, which begin together, and sees each of them end well."""
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, url, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            _, err = child.communicate(timeout=60)
            assert (err, child.returncode) == ("", 0)
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_migrating_is_all_or_nothing(fresh, monkeypatch):
    from app.store import migrate as module

    upgrade = module.command.upgrade

    def fail_in_the_end(*what):
        upgrade(*what)
        raise RuntimeError("the power went")

    monkeypatch.setattr(module.command, "upgrade", fail_in_the_end)
    with pytest.raises(RuntimeError, match="power"):
        migrate(fresh)
    with psycopg.connect(fresh) as connection:
        left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert connection.execute(left).fetchone() == (0,)


def test_reading_goes_on_over_a_lost_connection(postgres_store, end_connections):
    with postgres_store.read() as uow:
        assert uow.people.count() == 0
        end_connections()
        # The same unit of work; no caller hears of it.
        assert uow.people.count() == 0
    end_connections()
    with postgres_store.read() as uow:
        assert uow.people.count() == 0


def test_writing_begins_anew_over_a_lost_connection_but_is_never_repeated(postgres_store, person, end_connections):
    with postgres_store.write() as uow:
        uow.people.add(person("per_1"))
        uow.commit()
    end_connections()
    with postgres_store.write() as uow:
        uow.people.add(person("per_2"))
        uow.commit()

    def lose_it_in_the_middle():
        with postgres_store.write() as uow:
            uow.people.add(person("per_3"))
            end_connections()
            uow.people.add(person("per_4"))

    def lose_it_before_the_commit():
        with postgres_store.write() as uow:
            uow.people.add(person("per_5"))
            head = uow.changes.head
            uow.changes.head = lambda: (head(), end_connections())[0]
            uow.commit()

    with pytest.raises(StoreAway):
        lose_it_in_the_middle()
    with pytest.raises(NotAcknowledged):
        lose_it_before_the_commit()
    with postgres_store.read() as uow:
        assert [uow.people.get(f"per_{n}") is not None for n in range(1, 6)] == [True, True, False, False, False]


def test_a_lock_that_another_process_holds_is_busy_and_not_a_fault(postgres_url, make_store, postgres_server):
    store = make_store(postgres_url, write_timeout_s=0.1)
    with psycopg.connect(postgres_url) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({postgres.WRITE_LOCK})")
        with pytest.raises(Busy), store.write():
            pytest.fail("two writers at once")
        other.execute("LOCK TABLE persons")
        with pytest.raises(Busy), store.read() as uow:
            uow.people.count()
    with store.write() as uow:
        assert uow.people.count() == 0


def test_a_reader_that_finds_every_connection_taken_is_told_that_it_is_busy(postgres_url, make_store, monkeypatch):
    monkeypatch.setattr(postgres, "READERS", 1)
    store = make_store(postgres_url, write_timeout_s=0.1)
    with store.read() as uow:
        uow.people.count()
        with pytest.raises(Busy), store.read():
            pytest.fail("more connections than there are")


def test_a_statement_that_was_refused_is_never_committed_as_if_it_had_not_been(postgres_store, person):
    """The server answers COMMIT with ROLLBACK then, and no error."""

    def swallow_it():
        with postgres_store.write() as uow:
            uow.people.add(person())
            with pytest.raises(DBAPIError, match="division by zero"):
                uow.connection.execute(text("SELECT 1/0"))
            uow.commit()

    with pytest.raises(DBAPIError, match="aborted"):
        swallow_it()
    with postgres_store.read() as uow:
        assert uow.people.count() == 0


def test_a_process_that_stops_in_the_middle_holds_nobody_up_for_long(postgres_url, make_store, person, monkeypatch):
    monkeypatch.setattr(postgres, "IDLE_TIMEOUT_S", 0.3)
    stuck, other = make_store(postgres_url), make_store(postgres_url, write_timeout_s=5)

    def stop_in_the_middle():
        with stuck.write() as uow:
            uow.people.add(person("per_1"))
            began = time.monotonic()
            with other.write() as theirs:
                assert time.monotonic() - began < 3
                theirs.people.add(person("per_2"))
                theirs.commit()
            uow.commit()

    with pytest.raises(StoreAway):
        stop_in_the_middle()
    with other.read() as uow:
        assert [uow.people.get(f"per_{n}") is not None for n in (1, 2)] == [False, True]


def test_a_frozen_read_whose_server_is_lost_fails_and_never_goes_on_at_another_moment(
    make_store, postgres_url, end_connections, person
):
    store = make_store(postgres_url)
    with store.read() as uow:
        assert uow.people.count() == 0

    def read_on():
        with store.frozen() as uow:
            assert uow.people.count() == 0
            with store.write() as writing:
                writing.people.add(person())
                writing.commit()
            assert uow.people.count() == 0
            end_connections()
            uow.people.count()

    with pytest.raises(StoreAway):
        read_on()
    with store.frozen() as uow:
        assert uow.people.count() == 1
    # One that was kept and ended since is no reason to fail: nothing has been read on it yet.
    end_connections()
    with store.frozen() as uow:
        assert uow.people.count() == 1
