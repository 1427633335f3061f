from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.idempotency import LEASE, Remembered

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def record():
    return Remembered("r1", b"digest", "token-1", NOON, NOON + timedelta(hours=24))


def stored(store, id_="r1"):
    with store.read() as uow:
        return uow.idempotency.get(id_)


def write(store, work):
    with store.write() as uow:
        outcome = work(uow.idempotency)
        uow.commit()
    return outcome


def answered(record):
    return replace(record, status=201, headers={"location": "/persons/p"}, body=b"{}")


def test_what_runs_is_found_without_an_answer(store, record):
    write(store, lambda rows: rows.start(record))
    assert stored(store) == record
    assert stored(store).status is None
    assert stored(store, "r2") is None


def test_an_answer_is_kept_to_the_byte(store, record):
    write(store, lambda rows: rows.start(record))
    assert write(store, lambda rows: rows.finish(answered(record), ["ann"]))
    assert stored(store) == answered(record)


def test_an_attempt_that_was_taken_over_keeps_and_forgets_nothing(store, record):
    write(store, lambda rows: rows.start(record))
    taken_over = replace(record, token="token-2")
    write(store, lambda rows: rows.start(taken_over))
    assert not write(store, lambda rows: rows.finish(answered(record), []))
    write(store, lambda rows: rows.forget(record))
    assert stored(store) == taken_over
    assert write(store, lambda rows: rows.finish(answered(taken_over), []))


def test_the_first_answer_stays(store, record):
    write(store, lambda rows: rows.start(record))
    assert write(store, lambda rows: rows.finish(answered(record), []))
    assert not write(store, lambda rows: rows.finish(replace(answered(record), status=409), []))
    assert stored(store).status == 201


def test_what_was_forgotten_may_be_tried_again(store, record):
    write(store, lambda rows: rows.start(record))
    write(store, lambda rows: rows.forget(record))
    assert stored(store) is None


def test_a_kept_answer_is_not_forgotten_by_whoever_does_not_know_that_it_is_kept(store, record):
    write(store, lambda rows: rows.start(record))
    write(store, lambda rows: rows.finish(answered(record), ["ann"]))
    write(store, lambda rows: rows.forget(record))
    assert stored(store) == answered(record)


def test_a_person_takes_along_every_answer_that_tells_of_them(store, record):
    for id_, persons in (("r1", ["ann", "ann"]), ("r2", ["bob", "ann"]), ("r3", ["bob"])):
        one = replace(record, id=id_)
        write(store, lambda rows, one=one: rows.start(one))
        write(store, lambda rows, one=one, persons=persons: rows.finish(answered(one), persons))
    with store.read() as uow:
        assert uow.idempotency.count_person("ann") == 2
    assert write(store, lambda rows: rows.forget_person("ann")) == 2
    assert [stored(store, id_) is None for id_ in ("r1", "r2", "r3")] == [True, True, False]
    assert write(store, lambda rows: rows.forget_person("ann")) == 0


def test_what_expired_is_swept(store, record):
    write(store, lambda rows: rows.start(record))
    assert write(store, lambda rows: rows.sweep(NOON + timedelta(hours=23))) == 0
    assert write(store, lambda rows: rows.sweep(NOON + timedelta(hours=24))) == 1
    assert stored(store) is None


def test_an_attempt_counts_while_its_lease_lasts_and_an_answer_until_it_expires(record):
    assert record.counts(NOON)
    assert not record.counts(NOON + LEASE)
    assert answered(record).counts(NOON + timedelta(hours=23))
    assert not answered(record).counts(NOON + timedelta(hours=24))
