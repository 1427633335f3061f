"""What was removed, split, merged or undone between a backup and its restore."""

from datetime import UTC, datetime

import numpy as np
import pytest

from app.domain.face import Quality
from app.domain.identity import MERGE, SPLIT, Before, IdentityChange
from app.domain.person import Person, Template
from app.errors import Busy, PersonExists
from app.ports import PersonFilter
from app.store.archive.backup import back_up
from app.store.archive.restore import restore
from app.store.vault.mending import mend

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
QUALITY = Quality(0.8, ("small",), 71.5, -3.0, 2.0, 0.5, 0.6, 0.4, 0.0)


@pytest.fixture
def store(opened):
    """Ann with two templates, Bob and Cid with one each."""
    store = opened()
    with store.write() as uow:
        for id_ in ("ann", "bob", "cid"):
            uow.people.add(Person(id_, id_.title(), NOW, NOW))
        for number, owner in enumerate(("ann", "ann", "bob", "cid")):
            vector = np.random.default_rng(number).normal(size=128).astype(np.float32)
            uow.templates.add(Template(f"t{number}", owner, "model", QUALITY, NOW, vector))
        uow.commit()
    return store


def erase(store, person_id):
    with store.write() as uow:
        uow.people.erase(person_id)
        uow.commit()


def split(store, person_id, off, *templates):
    with store.write() as uow:
        fresh = Person(off, "Split Off", NOW, NOW)
        uow.people.add(fresh)
        uow.templates.move(templates, off)
        uow.identities.add(IdentityChange(f"chg_{off}", SPLIT, off, person_id, NOW, Before(fresh, templates, {})))
        uow.commit()


def merge(store, person_id, into):
    with store.write() as uow:
        person = uow.people.get(person_id)
        templates = tuple(one.id for one in uow.templates.of(person_id))
        uow.templates.move(templates, into)
        uow.people.withdraw(person_id)
        before = Before(person, templates, {})
        uow.identities.add(IdentityChange(f"chg_{person_id}", MERGE, person_id, into, NOW, before))
        uow.commit()


def undo_merge(store, person_id):
    with store.write() as uow:
        change = uow.identities.get(f"chg_{person_id}")
        uow.people.restore(change.before.person)
        uow.templates.move(change.before.templates, person_id)
        uow.identities.mark_undone(change.id, NOW)
        uow.commit()


def there(store):
    """Person id -> ids of templates."""
    with store.read() as uow:
        people = uow.people.page(PersonFilter(), after=None, limit=100)
        return {person.id: sorted(one.id for one in uow.templates.of(person.id)) for person in people}


def restored(opened, path):
    other = opened("second")
    return other, restore(other, path)


def test_who_was_split_off_after_the_backup_and_erased_does_not_come_back_in_the_other(store, opened, tmp_path):
    back_up(store, tmp_path / "backup")
    split(store, "ann", "quy", "t1")
    erase(store, "quy")
    other, done = restored(opened, tmp_path / "backup")
    assert there(other) == {"ann": ["t0"], "bob": ["t2"], "cid": ["t3"]}
    assert (done.persons, done.templates, done.erased) == (3, 3, 0)


def test_a_template_that_was_removed_after_the_backup_stays_removed(store, opened, tmp_path):
    back_up(store, tmp_path / "backup")
    with store.write() as uow:
        assert uow.templates.remove("ann", "t0")
        assert uow.templates.remove("bob", "t2")
        uow.commit()
    other, done = restored(opened, tmp_path / "backup")
    assert there(other) == {"ann": ["t1"], "bob": [], "cid": ["t3"]}
    assert (done.persons, done.templates) == (3, 2)


def test_a_removal_that_is_rolled_back_counts_for_nothing(store, opened, tmp_path):
    back_up(store, tmp_path / "backup")
    with store.write() as uow:
        assert uow.templates.remove("ann", "t0")
        uow.people.erase("bob")
    assert restored(opened, tmp_path / "backup")[1].templates == 4


def test_who_was_merged_at_the_backup_and_is_erased_after_an_undo_does_not_come_back_in_the_other(
    store, opened, tmp_path
):
    merge(store, "bob", "ann")
    back_up(store, tmp_path / "backup")
    undo_merge(store, "bob")
    erase(store, "bob")
    other, done = restored(opened, tmp_path / "backup")
    assert there(other) == {"ann": ["t0", "t1"], "cid": ["t3"]}
    assert (done.persons, done.templates) == (2, 3)
    with other.read() as uow:
        assert uow.identities.get("chg_bob") is None


def test_an_undone_merge_in_the_backup_keeps_no_name_of_who_is_erased_since(store, opened, tmp_path):
    merge(store, "bob", "ann")
    undo_merge(store, "bob")
    back_up(store, tmp_path / "backup")
    erase(store, "bob")
    other, done = restored(opened, tmp_path / "backup")
    assert (there(other), done.erased) == ({"ann": ["t0", "t1"], "cid": ["t3"]}, 1)
    with other.read() as uow:
        assert uow.identities.of("ann") == []


def test_whoever_came_back_from_a_merge_or_was_split_off_is_restored_with_the_change(store, opened, tmp_path):
    merge(store, "bob", "ann")
    undo_merge(store, "bob")
    split(store, "ann", "quy", "t1")
    back_up(store, tmp_path / "backup")
    other, _ = restored(opened, tmp_path / "backup")
    assert there(other) == {"ann": ["t0"], "bob": ["t2"], "cid": ["t3"], "quy": ["t1"]}
    with store.read() as was, other.read() as uow:
        assert uow.identities.of("ann") == was.identities.of("ann")
        assert [change.id for change in uow.identities.of("ann")] == ["chg_bob", "chg_quy"]


def test_merges_one_after_another_are_all_in_the_backup(store, opened, tmp_path):
    merge(store, "ann", "bob")
    merge(store, "bob", "cid")
    back_up(store, tmp_path / "backup")
    other, _ = restored(opened, tmp_path / "backup")
    assert there(other) == {"cid": ["t0", "t1", "t2", "t3"]}
    with other.write() as uow:
        assert uow.identities.absorbed("cid") == ("bob", "ann")
        with pytest.raises(PersonExists):
            uow.people.add(Person("ann", "Somebody", NOW, NOW))
    undo_merge(other, "bob")
    undo_merge(other, "ann")
    assert there(other) == {"ann": ["t0", "t1"], "bob": ["t2"], "cid": ["t3"]}


def test_an_erasure_after_a_restore_reaches_everybody_who_was_absorbed(store, opened, tmp_path):
    merge(store, "ann", "bob")
    merge(store, "bob", "cid")
    back_up(store, tmp_path / "backup")
    other, _ = restored(opened, tmp_path / "backup")
    erase(other, "cid")
    assert [other.vault.count(id_) for id_ in ("ann", "bob", "cid")] == [0, 0, 0]


@pytest.mark.parametrize("finished_by", ["a start", "the next removal"])
def test_what_a_process_removed_that_was_killed_before_it_told_the_vault_stays_removed(
    store, opened, tmp_path, monkeypatch, finished_by
):
    back_up(store, tmp_path / "backup")

    def refuse(*person_ids, **more):
        raise Busy

    monkeypatch.setattr(store.vault, "shred", refuse)
    split(store, "ann", "quy", "t1")
    erase(store, "quy")
    monkeypatch.undo()
    if finished_by == "a start":
        mend(store)
    else:
        with store.write() as uow:
            uow.templates.remove("ann", "t0")
            uow.commit()
    assert store.vault.removed_templates(["t1", "t2"]) == {"t1"}
    assert "t1" not in there(restored(opened, tmp_path / "backup")[0])["ann"]
