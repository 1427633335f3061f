"""The trail as the database holds it, altered behind the service's back: whatever is done to it is found."""

import sqlite3
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.actions.audit import ListAudit, SignHead, VerifyAudit
from app.domain.audit import AuditFilter, Entry, Line
from app.domain.audit_check import MOST_FAULTS
from app.errors import InvalidField
from app.store.audit.chain import HmacChain
from app.store.audit.rows import SqlAudit
from app.store.engine import open_database
from app.store.memory.vault import MemoryVault
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore

ROWS = 50
TRIGGERS = ("audit_unchanged", "audit_kept", "audit_anchors_unchanged", "audit_anchors_kept")
COLUMNS = [name for name in Line.__dataclass_fields__ if name != "seq"]


def fill(store, now):
    with store.write() as uow:
        for n in range(ROWS):
            whose = {"person_id": f"per_{n % 7}", "private": {"similarity": n / 100}} if n % 3 else {}
            where = {"gallery": "staff", "door": "front"} if n % 2 else {}
            facts = {"threshold": 0.5, "n": n}
            uow.audit.append(Entry(f"act{n % 4}", now + timedelta(seconds=n), facts=facts, **whose, **where))
        uow.commit()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "onelook.db"


@pytest.fixture
def sql_store(path, make_vault, clock):
    url = f"sqlite:///{path}"
    migrate(url)
    store = SqlStore(url, make_vault())
    fill(store, clock.now())
    yield store
    store.close()


@pytest.fixture
def connection(path, sql_store):
    """The file in the hands of somebody who may do everything but know the secret."""
    connection = sqlite3.connect(path, isolation_level=None)
    for trigger in TRIGGERS:
        connection.execute(f"DROP TRIGGER {trigger}")
    yield connection
    connection.close()


def faults(store, head=None):
    return [(fault.fault, fault.seq) for fault in VerifyAudit(store)(head).faults]


def test_finds_nothing_in_what_was_written(sql_store):
    verdict = VerifyAudit(sql_store)(SignHead(sql_store)())
    assert (verdict.ok, verdict.first, verdict.last, verdict.rows) == (True, 1, ROWS, ROWS)
    assert (verdict.faults, verdict.met_head, verdict.head) == ((), True, SignHead(sql_store)())


def test_an_empty_trail_is_as_it_was_written(store):
    verdict = VerifyAudit(store)()
    assert (verdict.ok, verdict.first, verdict.last, verdict.rows, verdict.head.seq) == (True, 1, 0, 0, 0)


TEXTS = "x' OR 1", "", "staff", "2026-03-01 12:00:00.000000", '{"n": 1}', "null", "[]", "{", "\N{SNOWMAN}"
VALUES = st.one_of(st.sampled_from(TEXTS), st.integers(-5, 2**40), st.floats(allow_nan=False), st.binary(max_size=40))


@pytest.mark.parametrize("column", COLUMNS)
@given(at=st.integers(1, ROWS), value=VALUES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_finds_whatever_is_written_into_a_column(connection, sql_store, column, at, value):
    (before,) = connection.execute(f"SELECT {column} FROM audit WHERE seq = ?", (at,)).fetchone()
    connection.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (value, at))
    (after,) = connection.execute(f"SELECT {column} FROM audit WHERE seq = ?", (at,)).fetchone()
    found = faults(sql_store)
    connection.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (before, at))
    assert found == ([] if after == before else [("edited", at)])
    assert faults(sql_store) == []


@pytest.mark.parametrize("column", ["gallery", "door", "subject", "key_id", "sealed"])
def test_finds_a_column_that_was_emptied(connection, sql_store, column):
    connection.execute(f"UPDATE audit SET {column} = NULL WHERE seq = 12")
    assert faults(sql_store) == [("edited", 12)]


def test_finds_rows_removed_from_the_middle_and_the_front(connection, sql_store):
    connection.execute("DELETE FROM audit WHERE seq IN (1, 2, 20, 30, 31)")
    assert faults(sql_store) == [("removed", 1), ("removed", 20), ("removed", 30)]


def test_finds_two_rows_that_changed_places(connection, sql_store):
    for old, new in ((7, -1), (30, 7), (-1, 30)):
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (new, old))
    assert faults(sql_store) == [("reordered", 7), ("reordered", 30)]


def test_finds_a_cut_tail_by_a_head_that_was_kept(connection, sql_store):
    head = SignHead(sql_store)()
    connection.execute("DELETE FROM audit WHERE seq > 40")
    assert faults(sql_store) == []
    assert faults(sql_store, head) == [("cut", 41)]


def test_finds_an_older_file_that_was_put_back_and_written_on(connection, sql_store, clock):
    """A backup that is restored forgets what came after it: what is written then has the same numbers."""
    head = SignHead(sql_store)()
    connection.execute("DELETE FROM audit WHERE seq > 40")
    with sql_store.write() as uow:
        uow.audit.append(*(Entry("new", clock.now()) for _ in range(20)))
        uow.commit()
    assert faults(sql_store) == []
    assert faults(sql_store, head) == [("cut", ROWS)]


def test_finds_a_forged_anchor_over_removed_rows(connection, sql_store):
    mac, at = connection.execute("SELECT mac, at FROM audit WHERE seq = 10").fetchone()
    connection.execute("INSERT INTO audit_anchors VALUES (10, ?, ?, ?)", (at, mac, b"0" * 64))
    connection.execute("DELETE FROM audit WHERE seq <= 10")
    assert faults(sql_store) == [("edited", 10)]


def test_takes_no_head_that_another_service_signed(sql_store):
    with sql_store.read() as uow:
        foreign = HmacChain(MemoryVault(b"other").secret("audit")).sign_head(uow.audit.last())
    with pytest.raises(InvalidField):
        VerifyAudit(sql_store)(foreign)


def test_rows_written_under_another_secret_are_all_found(sql_store, path, make_vault):
    other = SqlStore(f"sqlite:///{path}", make_vault(f"sqlite:///{path.with_name('other.db')}"))
    verdict = VerifyAudit(other)()
    assert (verdict.found, len(verdict.faults)) == (ROWS, min(ROWS, MOST_FAULTS))
    other.close()


def test_reads_on_behind_rows_that_are_let_go_meanwhile(sql_store, monkeypatch):
    """Retention in another process, between two pieces of the check."""
    monkeypatch.setattr("app.actions.audit.PIECE", 10)
    real, turns = SqlAudit.lines, iter(range(100))

    def lines(audit, after, limit):
        if next(turns) == 1:
            with sql_store.write() as uow:
                uow.audit.let_go(uow.audit.chain.sign_anchor(real(uow.audit, 24, 1)[0]))
                uow.commit()
        return real(audit, after, limit)

    monkeypatch.setattr(SqlAudit, "lines", lines)
    verdict = VerifyAudit(sql_store)()
    assert (verdict.ok, verdict.last, verdict.rows) == (True, ROWS, 35)


def test_lists_nobody_for_what_is_no_id_and_refuses_times_the_wrong_way_round(store, clock):
    fill(store, clock.now())
    list_audit = ListAudit(store)
    assert list_audit(AuditFilter(person_id="no id"), before=None, limit=5) == ()
    late = clock.now() + timedelta(days=1)
    with pytest.raises(InvalidField):
        list_audit(AuditFilter(since=late, until=clock.now()), before=None, limit=5)
    assert len(list_audit(AuditFilter(person_id="per_1"), before=None, limit=50)) == 5


EDITED = {
    "at": "at + interval '1 microsecond'",
    "facts": "'{\"n\": 2}'",
    "sealed": "decode('00ff', 'hex')",
    "mac": "decode(repeat('00', 32), 'hex')",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_finds_an_edited_row_on_postgresql_too(postgres_url, make_vault, clock, column):
    store = SqlStore(postgres_url, make_vault())
    fill(store, clock.now())
    database = open_database(postgres_url, timeout_s=5)
    with database.writing.begin() as connection:
        for statement in (
            "ALTER TABLE audit DISABLE TRIGGER USER",
            f"UPDATE audit SET {column} = {EDITED.get(column, chr(39) + 'x' + chr(39))} WHERE seq = 12",
            "ALTER TABLE audit ENABLE TRIGGER USER",
        ):
            connection.execute(text(statement))
    database.close()
    assert faults(store) == [("edited", 12)]
    store.close()
