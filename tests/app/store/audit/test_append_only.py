"""The database itself refuses what our own code must never do to the trail."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.audit import Entry
from app.store.engine import open_database

REFUSED = [
    "UPDATE audit SET actor = 'somebody else' WHERE seq = 2",
    "UPDATE audit SET seq = 9 WHERE seq = 2",
    "DELETE FROM audit WHERE seq = 3",
    "DELETE FROM audit",
    "UPDATE audit_anchors SET seq = 3",
    "DELETE FROM audit_anchors",
]


@pytest.fixture(params=["url", "postgres_url"])
def database(request):
    """(url, store) of a trail of four rows, of which the first was let go."""
    url = request.getfixturevalue(request.param)
    return url, request.getfixturevalue("sql_store" if request.param == "url" else "postgres_store")


@pytest.fixture
def engine(database, noon):
    url, store = database
    with store.write() as uow:
        uow.audit.append(*(Entry("a", noon) for _ in range(4)))
        uow.audit.let_go(uow.audit.chain.sign_anchor(uow.audit.lines(0, 1)[0]))
        uow.commit()
    opened = open_database(url, timeout_s=5)
    yield opened.writing
    opened.close()


@pytest.mark.parametrize("statement", REFUSED)
def test_refuses_to_change_or_delete_rows(engine, statement, database):
    with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text(statement))
    with database[1].read() as uow:
        assert [line.seq for line in uow.audit.lines(0, 9)] == [2, 3, 4]
        assert uow.audit.anchor().seq == 1


@pytest.mark.parametrize("database", ["postgres_url"], indirect=True)
def test_refuses_truncation(engine):
    with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text("TRUNCATE audit"))


def test_takes_more_rows_all_the_same(engine, database, noon):
    with database[1].write() as uow:
        assert uow.audit.append(Entry("a", noon)) == 5
        uow.commit()
