"""A real standby helps to search as long as it keeps up, and no longer."""

import time
from datetime import UTC, datetime

import numpy as np
import pytest

from app.domain.face import Quality
from app.domain.person import Person, Template
from app.errors import Misconfigured, NotAcknowledged
from app.store.migrate import migrate
from app.store.pgvector.search import PgVectorGallery
from app.store.pgvector.table import keep_vectors
from app.store.postgres import standby
from app.store.postgres.replicas import Replicas
from app.store.unit_of_work import SqlStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)


def vector(number):
    return np.eye(128, dtype=np.float32)[number]


class Office:
    """One store on the primary, its replicas, and a gallery that asks them."""

    def __init__(self, pair, vault, user="postgres"):
        self.pair = pair
        self.reports = []
        primary, second = (f"postgresql://{user}@{server.address}/onelook" for server in (pair.primary, pair.standby))
        self.store = SqlStore(primary, vault, write_timeout_s=1.5, report=self.reports.append)
        self.replicas = Replicas([second], self.store, self.reports.append, watch_every_s=0.1)
        self.gallery = PgVectorGallery(self.store, "model", self.reports.append, helpers=self.replicas)

    def enrol(self, number):
        with self.store.write() as uow:
            uow.people.add(Person(f"p{number}", f"Person {number}", NOW, NOW))
            uow.templates.add(Template(f"t{number}", f"p{number}", "model", QUALITY, NOW, vector(number)))
            return uow.commit()

    def found(self, number):
        self.gallery.catch_up()
        return [hit.template_id for hit in self.gallery.search(vector(number), 1)]

    @property
    def state(self):
        (state,) = self.replicas.states().values()
        return state

    def wait_for(self, wanted):
        deadline = time.monotonic() + 20
        while not wanted(self.state):
            assert time.monotonic() < deadline, self.state
            time.sleep(0.05)


@pytest.fixture
def office(postgres_pair, make_vault):
    migrate(postgres_pair.primary.url("onelook"))
    office = Office(postgres_pair, make_vault())
    keep_vectors(office.store)
    office.gallery.rebuild()
    yield office
    office.replicas.close()
    office.store.close()


@pytest.fixture
def asked(office, monkeypatch):
    """The numbers of rows that the standby answered, one for each query that it was asked."""
    answers = []
    ask = standby.Standby.ask

    def counted(self, query, values):
        rows = ask(self, query, values)
        answers.append(len(rows))
        return rows

    monkeypatch.setattr(standby.Standby, "ask", counted)
    return answers


@pytest.mark.slow
def test_a_standby_helps_while_it_keeps_up_is_dropped_when_it_lags_and_taken_back(office, asked, postgres_pair):
    office.enrol(1)
    assert office.found(1) == ["t1"]
    # Nobody has looked at it yet.
    assert asked == []
    office.replicas.watch()
    assert office.state == "ok"
    for number in range(2, 12):
        office.enrol(number)
        # Acknowledged: the standby has it.
        assert office.found(number) == [f"t{number}"]
    assert asked == [1] * 10
    assert office.gallery.size() == (11, 11)

    postgres_pair.standby.do("SELECT pg_wal_replay_pause()")
    began = time.monotonic()
    with pytest.raises(NotAcknowledged):
        office.enrol(20)
    assert time.monotonic() - began < 5
    # The change is there on the primary, and is found; the standby does not have it, and is not believed.
    assert office.found(20) == ["t20"]
    office.wait_for(lambda state: state.startswith("at change "))
    before = len(asked)
    for _ in range(5):
        assert office.found(20) == ["t20"]
    assert len(asked) == before
    assert sum("is not asked" in text for text in office.reports) == 1

    postgres_pair.standby.do("SELECT pg_wal_replay_resume()")
    office.wait_for(lambda state: state == "ok")
    assert office.found(20) == ["t20"]
    assert len(asked) == before + 1
    assert [text.split()[3:5] for text in office.reports if text.startswith("the standby")] == [
        ["helps", "to"],
        ["is", "not"],
        ["helps", "to"],
    ]


def test_an_answer_that_is_too_old_is_thrown_away_even_before_the_watch_sees_it(office, asked, postgres_pair):
    office.enrol(1)
    office.replicas.look()
    assert office.state == "ok"
    postgres_pair.standby.do("SELECT pg_wal_replay_pause()")
    with pytest.raises(NotAcknowledged):
        office.enrol(2)
    assert office.found(2) == ["t2"]
    # It was asked, and its answer not taken.
    assert asked == [1]
    assert office.state.startswith("at change ")
    assert office.found(2) == ["t2"]
    assert asked == [1]
    postgres_pair.standby.do("SELECT pg_wal_replay_resume()")


def test_a_standby_that_stops_answering_is_cut_off_and_nobody_waits_for_long(office, asked, postgres_pair):
    office.enrol(1)
    office.replicas.watch()
    assert office.found(1) == ["t1"]
    postgres_pair.standby.pause()
    try:
        began = time.monotonic()
        assert office.found(1) == ["t1"]
        assert time.monotonic() - began < 2 * standby.ANSWER_WITHIN_S + 2
        office.wait_for(lambda state: "answer" in state)
        began = time.monotonic()
        assert office.found(1) == ["t1"]
        assert time.monotonic() - began < 1
    finally:
        postgres_pair.standby.resume()
    office.wait_for(lambda state: state == "ok")
    before = len(asked)
    assert office.found(1) == ["t1"]
    assert len(asked) == before + 1


def test_a_standby_that_need_not_confirm_is_not_asked(office, asked, postgres_pair):
    office.enrol(1)
    postgres_pair.primary.configure({"synchronous_standby_names": ""})
    postgres_pair.primary.reload()
    deadline = time.monotonic() + 10
    while postgres_pair.primary.do("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
        assert time.monotonic() < deadline
    office.replicas.look()
    assert "as synchronous" in office.state
    assert office.found(1) == ["t1"]
    assert asked == []


def test_who_may_not_see_who_confirms_is_told_which_right_is_missing(postgres_pair, make_vault):
    postgres_pair.primary.do("CREATE ROLE ordinary LOGIN")
    migrate(postgres_pair.primary.url("onelook"))
    postgres_pair.primary.do("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ordinary", "onelook")
    office = Office(postgres_pair, make_vault(), user="ordinary")
    try:
        office.replicas.look()
        assert "GRANT pg_read_all_stats" in office.state
        postgres_pair.primary.do("GRANT pg_read_all_stats TO ordinary")
        office.replicas.look()
        assert office.state == "ok"
    finally:
        office.replicas.close()
        office.store.close()


def test_the_primary_itself_is_no_standby(postgres_pair, make_vault):
    migrate(postgres_pair.primary.url("onelook"))
    store = SqlStore(postgres_pair.primary.url("onelook"), make_vault())
    replicas = Replicas([postgres_pair.primary.url("onelook")], store, print)
    replicas.look()
    assert list(replicas.states().values()) == ["it is no standby"]
    replicas.close()
    store.close()


@pytest.mark.parametrize("urls", [["postgresql://a,b/x"], ["postgresql://a/x", "postgresql://a/y"], ["what?"]])
def test_each_url_names_one_server_of_its_own(urls):
    with pytest.raises(Misconfigured, match="ONELOOK_REPLICA_URLS"):
        Replicas(urls, None, print)
