import dataclasses
from datetime import timedelta

import pytest

from app.actions.change_person import ChangePerson
from app.errors import Erased, InvalidField, Stale, UnknownPerson


@pytest.fixture
def change_person(store, gallery, clock) -> ChangePerson:
    return ChangePerson(store, gallery, clock)


def test_changes_what_is_named_and_counts_the_revision(enrolled, change_person, clock, store):
    ann = enrolled("ann", external_id="e1")
    clock.move(minutes=5)
    changed = change_person("ann", {"name": "Ann B", "active": False}, ann.revision).person
    assert (changed.name, changed.active, changed.external_id, changed.revision) == ("Ann B", False, "e1", 2)
    assert (changed.created_at, changed.updated_at) == (ann.created_at, clock.now())
    with store.read() as uow:
        assert uow.people.get("ann") == changed


def test_none_clears_what_need_not_be_there(enrolled, change_person, clock):
    enrolled("ann", external_id="e1", valid_until=clock.now() + timedelta(days=1))
    changed = change_person("ann", {"external_id": None, "valid_until": None}, None).person
    assert (changed.external_id, changed.valid_until) == (None, None)


def test_a_change_that_changes_nothing_writes_nothing(enrolled, change_person, store):
    ann = enrolled("ann")
    assert change_person("ann", {"name": "Ann"}, 1).person == ann
    with store.read() as uow:
        assert uow.changes.head() == 1


def test_refuses_a_change_of_an_older_state(enrolled, change_person, store):
    enrolled("ann")
    change_person("ann", {"name": "Ann B"}, 1)
    with pytest.raises(Stale):
        change_person("ann", {"name": "Ann C"}, 1)
    with store.read() as uow:
        assert uow.people.get("ann").name == "Ann B"


def test_refuses_a_validity_that_ends_before_it_begins(enrolled, change_person, clock):
    enrolled("ann", valid_from=clock.now())
    with pytest.raises(InvalidField):
        change_person("ann", {"valid_until": clock.now() - timedelta(days=1)}, 1)


def test_refuses_a_name_that_is_not_allowed(enrolled, change_person, store):
    ann = enrolled("ann")
    with pytest.raises(InvalidField):
        change_person("ann", {"name": "\0"}, 1)
    with store.read() as uow:
        assert uow.people.get("ann") == ann


def test_refuses_a_person_who_is_not_there(enrolled, change_person, erase):
    with pytest.raises(UnknownPerson):
        change_person("nobody", {"name": "x"}, 1)
    enrolled("ann")
    erase("ann")
    with pytest.raises(Erased):
        change_person("ann", {"name": "x"}, 1)


def test_a_change_is_stored_though_the_index_cannot_follow(enrolled, change_person, store, lagging, reports):
    enrolled("ann")
    lagging_change = dataclasses.replace(change_person, gallery=lagging(0), report=reports.append)
    changed = lagging_change("ann", {"name": "Bea"}, 1).person
    assert (changed.name, len(reports)) == ("Bea", 1)
    with store.read() as uow:
        assert uow.people.get("ann") == changed
