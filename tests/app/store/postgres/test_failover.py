"""A primary and its standby, killed, cut off, promoted and brought back."""

import threading
import time

import pytest

from app.errors import Busy, NotAcknowledged, StoreAway
from app.index import ENGINES
from app.index.follow import FollowedGallery
from app.store.engine import open_database
from app.store.migrate import migrate
from app.store.postgres import failover
from app.store.postgres.failover import Servers, servers_of
from app.store.unit_of_work import SqlStore


@pytest.fixture
def pair(postgres_pair):
    migrate(postgres_pair.url)
    return postgres_pair


@pytest.fixture
def reports():
    return []


@pytest.fixture
def make_store(pair, make_vault, tmp_path, reports):
    made = []

    def make(url=None, timelines=tmp_path / "timelines", **more):
        store = SqlStore(url or pair.url, make_vault(), timelines=timelines, report=reports.append, **more)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture
def enrol(person, template):
    def enrol(store, id_):
        with store.write() as uow:
            uow.people.add(person(f"per_{id_}"))
            uow.templates.add(template(f"tpl_{id_}", f"per_{id_}"))
            return uow.commit()

    return enrol


def held(store):
    with store.read() as uow:
        return {template.id for template in uow.templates.of_model("model")}


def until(something, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not something():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting(server):
    """The server's processes that wait for a standby to confirm."""
    found = server.do("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return [pid for (pid,) in found]


class Writer(threading.Thread):
    """Enrols until it is told to end; what was acknowledged, and how the rest was refused."""

    def __init__(self, store, enrol, name):
        super().__init__()
        self._store, self._enrol, self._name = store, enrol, name
        self.acknowledged, self.refusals, self.ended = set(), set(), threading.Event()

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            try:
                self._enrol(self._store, f"{self._name}{number}")
            except Exception as e:
                self.refusals.add(type(e))
                time.sleep(0.02)
            else:
                self.acknowledged.add(f"tpl_{self._name}{number}")


def test_a_killed_primary_is_succeeded__nothing_acknowledged_is_lost_and_the_store_goes_on(
    pair, make_store, enrol, reports, tmp_path
):
    store = make_store(write_timeout_s=5)
    enrol(store, "before")
    writers = [Writer(store, enrol, name) for name in "ab"]
    for writer in writers:
        writer.start()
    until(lambda: all(len(writer.acknowledged) > 10 for writer in writers))
    pair.primary.kill()
    with pytest.raises(StoreAway):
        held(store)
    pair.standby.promote()
    until(lambda: "tpl_before" in held_or_nothing(store))
    then = [len(writer.acknowledged) for writer in writers]
    until(lambda: all(len(writer.acknowledged) > n + 5 for writer, n in zip(writers, then, strict=True)))
    for writer in writers:
        writer.ended.set()
        writer.join(20)

    acknowledged = {"tpl_before"}.union(*(writer.acknowledged for writer in writers))
    assert acknowledged <= held(store)
    assert set().union(*(writer.refusals for writer in writers)) <= {StoreAway, NotAcknowledged, Busy}
    assert any("no primary" in text for text in reports)
    assert any(text.startswith(f"database: the primary is {pair.standby.address}") for text in reports)

    # The old primary returns, and believes that it still is one.
    pair.primary.start()
    rows = pair.primary.do("SELECT count(*) FROM templates", "onelook")
    returned = make_store()
    assert acknowledged <= held(returned)
    enrol(returned, "after")
    enrol(store, "after_too")
    assert {"tpl_after", "tpl_after_too"} <= held(store)
    assert pair.primary.do("SELECT count(*) FROM templates", "onelook") == rows
    assert any("an old primary that was replaced" in text for text in reports)

    # Where only the old one can be reached, nothing is read either: what was erased since would still be there.
    alone = make_store(f"postgresql://postgres@{pair.primary.address}/onelook")
    with pytest.raises(StoreAway):
        held(alone)
    with pytest.raises(StoreAway):
        enrol(alone, "lost")
    assert pair.primary.do("SELECT count(*) FROM templates", "onelook") == rows
    assert (tmp_path / "timelines").read_text().split()[1::2] == ["1", "2"]


def held_or_nothing(store):
    try:
        return held(store)
    except StoreAway:
        return set()


def test_a_standby_is_never_taken_not_even_alone(pair, make_store, enrol, reports):
    standby_first = make_store(f"postgresql://postgres@{pair.standby.address},{pair.primary.address}/onelook")
    enrol(standby_first, "one")
    alone = make_store(f"postgresql://postgres@{pair.standby.address}/onelook")
    for attempt in (held, lambda store: enrol(store, "two")):
        with pytest.raises(StoreAway) as refusal:
            attempt(alone)
        assert "127.0.0.1" not in refusal.value.detail
    assert "it is a standby" in reports[-1]
    assert held(standby_first) == {"tpl_one"}
    pair.standby.promote()
    assert held(alone) == {"tpl_one"}


def test_a_primary_that_was_cut_off_is_left_by_connections_that_still_stand(
    pair, make_store, enrol, monkeypatch, reports
):
    monkeypatch.setattr(failover, "WATCH_EVERY_S", 0.05)
    store = make_store(pair.url + "?connect_timeout=2")
    enrol(store, "one")
    assert held(store) == {"tpl_one"}
    pair.standby.promote()
    # It still runs, and the store is still connected to it: a search there would miss what the new one is told.
    other = make_store(f"postgresql://postgres@{pair.standby.address}/onelook", timelines=None)
    enrol(other, "two")
    until(lambda: "tpl_two" in held(store))
    assert enrol(store, "three") > 0
    assert held(other) == {"tpl_one", "tpl_two", "tpl_three"}


@pytest.mark.parametrize("how", ["patience", "pg_cancel_backend", "pg_terminate_backend"])
def test_a_wait_for_the_standby_that_is_cut_short_is_no_acknowledgement(pair, make_store, enrol, how):
    store = make_store(write_timeout_s=0.5 if how == "patience" else 30)
    enrol(store, "one")
    pair.standby.pause()
    try:
        refused = Refused(store, enrol)
        refused.start()
        until(lambda: waiting(pair.primary))
        if how != "patience":
            (pid,) = waiting(pair.primary)
            pair.primary.do(f"SELECT {how}({pid})")
        refused.join(10)
    finally:
        pair.standby.resume()
    assert refused.error is NotAcknowledged
    # It was not taken back either: that is why the caller must look.
    until(lambda: "tpl_two" in held(store))
    assert enrol(store, "three") > 0


class Refused(threading.Thread):
    """Enrols `two`, and keeps the class of the error that came of it."""

    def __init__(self, store, enrol):
        super().__init__()
        self._store, self._enrol, self.error = store, enrol, None

    def run(self):
        try:
            self._enrol(self._store, "two")
        except Exception as e:
            self.error = type(e)


def test_the_epoch_of_the_feed_changes_with_the_primary(pair, make_store, enrol):
    store = make_store()
    with store.read() as uow:
        uow.changes.head()
        assert uow.changes.epoch() == 1
        pair.primary.kill()
        pair.standby.promote()
        # The same unit of work goes on: a query is asked once more when its connection ended.
        assert uow.changes.head() == 0
        assert uow.changes.epoch() == 2


def test_an_index_takes_back_what_the_failover_took_back(pair, make_store, enrol):
    """A change that was never acknowledged, but seen; the seq that it had may be given to another."""
    store = make_store(write_timeout_s=0.5)
    enrol(store, "one")
    gallery = FollowedGallery(store, ENGINES["flat"], "model")
    gallery.rebuild()

    def remove():
        with store.write() as uow:
            uow.templates.remove("per_one", "tpl_one")
            uow.commit()

    pair.standby.stop()
    with pytest.raises(NotAcknowledged):
        remove()
    gallery.catch_up()
    assert gallery.size() == (0, 0)
    pair.primary.kill()
    pair.standby.start()
    pair.standby.promote()
    assert gallery.catch_up() > 0
    assert gallery.holds_any(["tpl_one"])
    enrol(store, "two")
    gallery.catch_up()
    assert gallery.size() == (2, 2)


def test_a_server_of_another_cluster_is_refused(pair, make_store, enrol, postgres_url, tmp_path, reports):
    enrol(make_store(), "one")
    astray = make_store(postgres_url)
    with pytest.raises(StoreAway):
        held(astray)
    assert f"another cluster than before (should that be meant, remove {tmp_path / 'timelines'})" in reports[-1]


def test_warns_of_several_servers_without_a_synchronous_standby(pair, make_store, enrol, reports):
    pair.primary.configure({"synchronous_standby_names": ""})
    pair.primary.reload()
    until(lambda: pair.primary.do("SHOW synchronous_standby_names") == [("",)])
    enrol(make_store(), "one")
    assert any("no synchronous_standby_names" in text for text in reports)


def test_nothing_that_is_told_holds_the_password(reports):
    servers = Servers("postgresql://onelook:sesame@127.0.0.1:1,127.0.0.1:2/onelook", None, reports.append)
    with pytest.raises(StoreAway) as refusal:
        servers.connect()
    assert reports
    assert all("sesame" not in f"{text}{refusal.value.detail}{refusal.value.__cause__}" for text in reports)
    database = open_database("postgresql://onelook:sesame@127.0.0.1:1/onelook", report=reports.append)
    assert "sesame" not in f"{database.writing!r}{database.reading.url}"
    database.close()


def test_reads_each_server_and_what_it_was_told_of_a_url():
    first, second = servers_of(
        "postgresql+psycopg://u:p%40ss@[::1]:1,db2:2/gallery?sslmode=verify-full&connect_timeout=9"
    )
    assert (first["host"], first["port"], second["host"], second["port"]) == ("::1", "1", "db2", "2")
    for server in (first, second):
        assert (server["user"], server["password"], server["dbname"]) == ("u", "p@ss", "gallery")
        assert (server["sslmode"], server["connect_timeout"]) == ("verify-full", "9")
    (only,) = servers_of("postgresql:///gallery?host=/run/postgresql&target_session_attrs=any")
    assert only["host"] == "/run/postgresql"
    assert "target_session_attrs" not in only
