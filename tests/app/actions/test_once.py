from datetime import timedelta

import pytest

from app.actions.once import Once
from app.domain.idempotency import KEPT


@pytest.fixture
def once(store, clock, identifiers) -> Once:
    return Once(store, clock, identifiers)


@pytest.fixture
def begin(once):
    return lambda header="a": once.begin("key", "POST /enroll", header, b"digest")


def kept(store):
    return list(store.committed.remembered)


def test_an_answer_that_expired_is_swept_although_no_request_comes(once, begin, store, clock):
    once.keep_unchanged(begin(), 422, {}, b"{}", ())
    clock.move(hours=1)
    later = begin("b")
    assert once.sweep() == 0
    clock.time += KEPT - timedelta(hours=1)
    assert once.sweep() == 1
    assert kept(store) == [later.id]


def test_an_answer_goes_with_everybody_whom_it_names(once, begin, store, enrolled, erase):
    enrolled("ann")
    once.keep_unchanged(begin(), 409, {}, b"Ann", ["ann"])
    once.keep_unchanged(begin("b"), 200, {}, b"Bob", (), ["bob"])
    assert len(kept(store)) == 2
    erase("ann")
    enrolled("bob")
    erase("bob")
    assert kept(store) == []


def test_an_answer_that_names_somebody_erased_meanwhile_is_not_kept_and_may_be_made_anew(
    once, begin, store, enrolled, erase
):
    enrolled("ann")
    first = begin()
    erase("ann")
    once.keep_unchanged(first, 409, {}, b"Ann", ["ann"])
    assert kept(store) == []
    assert begin().token != first.token


def test_an_answer_that_names_somebody_merged_meanwhile_goes_with_who_has_it_all(once, begin, store, enrolled, merge):
    enrolled("ann")
    enrolled("bob")
    first = begin()
    merge("bob", into="ann")
    once.keep_unchanged(first, 409, {}, b"Bob", ["bob"])
    assert kept(store) == [first.id]
