from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from app.domain.identity import MERGE, SPLIT, Before, IdentityChange
from app.errors import PersonExists, UnknownIdentityChange, UnknownPerson, UnknownTemplate


@pytest.fixture
def change(noon, person):
    def make(id_="chg_1", person_id="per_1", other_id="per_2", kind=MERGE, **fields):
        gone = person(person_id, "Ada Lovelace", groups=("day",), metadata={"desk": [1, "ö"]}, valid_until=noon)
        before = Before(gone, ("tpl_1", "tpl_2"), {"lab": noon}, ("lab",), noon - timedelta(days=1))
        return IdentityChange(id_, kind, person_id, other_id, noon, before, **fields)

    return make


@pytest.fixture
def two(store, person, template):
    """Persons 1 and 2; templates 1 and 2 of the first, 3 of the second."""
    with store.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        for id_, whose in (("tpl_1", "per_1"), ("tpl_2", "per_1"), ("tpl_3", "per_2")):
            uow.templates.add(template(id_, whose))
        uow.commit()
    return store


def add(store, *changes):
    with store.write() as uow:
        for one in changes:
            uow.identities.add(one)
        uow.commit()


def merge(store, change):
    """What a merge does to the rows."""
    with store.write() as uow:
        theirs = [t.id for t in uow.templates.of(change.person_id)]
        uow.templates.move(theirs, change.other_id)
        uow.people.withdraw(change.person_id)
        uow.identities.add(change)
        uow.commit()


def test_a_change_is_found_as_it_was_written(store, change):
    add(store, change())
    with store.read() as uow:
        assert uow.identities.get("chg_1") == change()
        assert uow.identities.get("chg_2") is None


def test_lists_what_a_person_had_a_part_in_oldest_first(store, change, noon):
    later = replace(change("chg_1", "per_3", "per_1"), made_at=noon + timedelta(days=1))
    add(store, later, change("chg_2"), change("chg_3", "per_8", "per_9"))
    with store.read() as uow:
        assert [one.id for one in uow.identities.of("per_1")] == ["chg_2", "chg_1"]
        assert uow.identities.of("per_4") == []


def test_a_change_is_undone_once(store, change, noon):
    add(store, change())
    with store.write() as uow:
        uow.identities.mark_undone("chg_1", noon)
        with pytest.raises(UnknownIdentityChange):
            uow.identities.mark_undone("chg_1", noon)
        with pytest.raises(UnknownIdentityChange):
            uow.identities.mark_undone("chg_2", noon)
        uow.commit()
    with store.read() as uow:
        assert uow.identities.get("chg_1") == change(undone_at=noon)


def test_knows_who_has_what_was_somebody_elses(store, change, noon):
    add(store, change("chg_1", "a", "b"), change("chg_2", "b", "c"), change("chg_3", "d", "c", SPLIT))
    add(store, change("chg_4", "e", "b", SPLIT), change("chg_5", "f", "c"))
    with store.write() as uow:
        for id_ in ("chg_4", "chg_5"):
            uow.identities.mark_undone(id_, noon)
        uow.commit()
    with store.read() as uow:
        went = {id_: uow.identities.went_to(id_) for id_ in "abcdef"}
        assert went == {"a": "b", "b": "c", "c": None, "d": None, "e": "b", "f": None}
        assert sorted(uow.identities.absorbed("c")) == ["a", "b", "e"]
        assert uow.identities.absorbed("a") == ()


def test_templates_change_hands_and_stay_what_they_are(two):
    with two.read() as uow:
        before, head = {t.id: t for t in uow.templates.with_ids(["tpl_1", "tpl_2", "tpl_3"])}, uow.changes.head()
    with two.write() as uow:
        uow.templates.move(["tpl_2", "tpl_1"], "per_2")
        # Seen by the same transaction, too.
        assert uow.templates.of("per_1") == []
        uow.commit()
    with two.read() as uow:
        theirs = uow.templates.of("per_2")
        assert [t.id for t in theirs] == ["tpl_1", "tpl_2", "tpl_3"]
        for one in theirs:
            assert one == replace(before[one.id], person_id="per_2")
            np.testing.assert_array_equal(one.vector, before[one.id].vector)
        changes = [(c.kind, c.id, c.op) for c in uow.changes.since(head, 10)]
    assert changes == [("template", "tpl_2", "update"), ("template", "tpl_1", "update")]


def test_a_template_goes_to_nobody_who_is_not_there_and_none_goes_that_is_not_there(two):
    with two.write() as uow:
        with pytest.raises(UnknownPerson):
            uow.templates.move(["tpl_1"], "per_9")
        with pytest.raises(UnknownTemplate):
            uow.templates.move(["tpl_1", "tpl_9"], "per_2")


def test_a_template_that_changed_hands_needs_the_new_hands_key(sql_store, person, template, vault):
    with sql_store.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        uow.templates.add(template("tpl_1", "per_1"))
        uow.commit()
    with sql_store.write() as uow:
        uow.templates.move(["tpl_1"], "per_2")
        uow.commit()
    vault.shred("per_1")
    with sql_store.read() as uow:
        assert [t.id for t in uow.templates.of("per_2")] == ["tpl_1"]
    vault.shred("per_2")
    reports = []
    with sql_store.read() as uow:
        assert uow.templates.with_ids(["tpl_1"], unreadable=reports.append) == []
    assert reports == ["tpl_1"]


def test_the_id_of_somebody_merged_stays_taken_but_for_that_very_person(two, change, person):
    with two.read() as uow:
        before = uow.people.get("per_1")
    merge(two, change())
    with two.write() as uow:
        assert uow.people.get("per_1") is None
        with pytest.raises(PersonExists):
            uow.people.add(person("per_1", "Somebody Else"))
        uow.people.restore(replace(before, revision=7))
        with pytest.raises(PersonExists):
            uow.people.restore(before)
        uow.commit()
    with two.read() as uow:
        assert uow.people.get("per_1") == replace(before, revision=7)
        assert [(c.kind, c.id, c.op) for c in uow.changes.since(0, 100)][-1] == ("person", "per_1", "add")


def test_nobody_is_withdrawn_who_is_not_there(store):
    with store.write() as uow, pytest.raises(UnknownPerson):
        uow.people.withdraw("per_1")


def test_erasing_a_person_forgets_whoever_was_merged_into_that_person(two, change, person):
    add(two, change("chg_0", "per_7", "per_8"))
    merge(two, change("chg_1", "per_1", "per_2"))
    with two.write() as uow:
        uow.people.add(person("per_3"))
        uow.commit()
    merge(two, change("chg_2", "per_2", "per_3"))
    with two.write() as uow:
        assert uow.people.erase("per_3") == 3
        uow.commit()
    with two.write() as uow:
        assert [uow.identities.get(id_) is None for id_ in ("chg_0", "chg_1", "chg_2")] == [False, True, True]
        for id_ in ("per_1", "per_2", "per_3"):
            with pytest.raises(PersonExists):
                uow.people.add(person(id_))
            with pytest.raises(PersonExists):
                uow.people.restore(person(id_))


def test_erasing_destroys_the_keys_of_whoever_was_merged_and_a_merge_destroys_none(sql_store, vault, change, person):
    with sql_store.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        uow.commit()
    vault.seal("per_1", b"a row of the trail", b"", "trail")
    merge(sql_store, change())
    assert [vault.count(id_) for id_ in ("per_1", "per_2")] == [1, 1]
    with sql_store.write() as uow:
        uow.people.erase("per_2")
        uow.commit()
    assert [vault.count(id_) for id_ in ("per_1", "per_2")] == [0, 0]
    assert vault.shredded(["per_1", "per_2"]) == {"per_1", "per_2"}


def test_the_database_tells_nothing_of_whom_a_change_took_away(sql_store, url, change):
    add(sql_store, change())
    engine = create_engine(url)
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM identity_changes")).all()
    engine.dispose()
    for word in (b"Ada", b"Lovelace", b"desk", b"lab"):
        assert word not in repr(tuple(row)).encode()
        assert word not in bytes(row.sealed)
