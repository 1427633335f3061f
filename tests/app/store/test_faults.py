import sqlite3

import pytest
from sqlalchemy import QueuePool, create_engine, text
from sqlalchemy.exc import DBAPIError

from app.errors import Busy, Corrupt, StoreAway
from app.store.faults import as_service_errors


def test_a_database_that_goes_away_between_two_statements_is_away_and_no_fault_of_ours():
    is_there = [True]

    def connect():
        if not is_there[0]:
            raise StoreAway
        return sqlite3.connect(":memory:")

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    with engine.connect() as connection:
        connection.invalidate()
        connection.rollback()
        is_there[0] = False
        with pytest.raises(StoreAway), as_service_errors():
            connection.execute(text("SELECT 1"))
    engine.dispose()


class Refusal(Exception):
    """What a driver raises."""

    def __init__(self, sqlstate=None, sqlite_errorname=None):
        super().__init__("sesame")
        self.sqlstate, self.sqlite_errorname = sqlstate, sqlite_errorname


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(sqlstate="55P03"), Busy),
        (Refusal(sqlstate="57014"), Busy),
        (Refusal(sqlstate="40P01"), Busy),
        (Refusal(sqlite_errorname="SQLITE_BUSY_SNAPSHOT"), Busy),
        (Refusal(sqlstate="08006"), StoreAway),
        (Refusal(sqlstate="57P01"), StoreAway),
        (Refusal(sqlstate="25006"), StoreAway),
        (Refusal(sqlstate="53100"), StoreAway),
        (Refusal(sqlite_errorname="SQLITE_FULL"), StoreAway),
        (Refusal(sqlite_errorname="SQLITE_IOERR_WRITE"), StoreAway),
        (Refusal(sqlstate="XX001"), Corrupt),
        (Refusal(sqlite_errorname="SQLITE_CORRUPT"), Corrupt),
        (Refusal(sqlite_errorname="SQLITE_NOTADB"), Corrupt),
        # A fault of our own stays one.
        (Refusal(sqlstate="42601"), DBAPIError),
        (Refusal(sqlstate="23505"), DBAPIError),
        (Refusal(sqlite_errorname="SQLITE_CONSTRAINT"), DBAPIError),
    ],
    ids=lambda given: getattr(given, "sqlstate", None) or getattr(given, "sqlite_errorname", None) or given.__name__,
)
def test_each_refusal_is_what_a_caller_can_do_about_it(refusal, error):
    with pytest.raises(error) as raised, as_service_errors():
        raise DBAPIError("SELECT 1", {}, refusal)
    assert type(raised.value) is error
    assert error is DBAPIError or "sesame" not in raised.value.detail


def test_a_connection_that_ended_is_away_whatever_the_driver_says():
    with pytest.raises(StoreAway), as_service_errors():
        raise DBAPIError("SELECT 1", {}, Refusal(), connection_invalidated=True)
