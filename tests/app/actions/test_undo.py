from dataclasses import replace
from datetime import timedelta

import pytest

from app.actions.add_template import AddTemplate
from app.actions.change_person import ChangePerson
from app.actions.merge import Merge
from app.actions.split import Split
from app.actions.undo import Undo
from app.domain.audit import AuditFilter
from app.domain.gallery import NamedGallery
from app.errors import CannotUndo, OutOfScope, UnknownIdentityChange


@pytest.fixture
def merge(store, gallery, clock, identifiers):
    return Merge(store, gallery, clock, identifiers)


@pytest.fixture
def split(store, gallery, clock, identifiers):
    return Split(store, gallery, clock, identifiers)


@pytest.fixture
def undo(store, gallery, clock):
    return Undo(store, gallery, clock)


@pytest.fixture
def add(store, gallery, reader, calibration, clock, identifiers, pictures):
    action = AddTemplate(store, gallery, reader, calibration, clock, identifiers, 0.35)
    return lambda who: action(pictures.of(who), who, on_duplicate="allow").template.id


@pytest.fixture
def two(enrolled, store, clock, add):
    """ann in lab and yard, with two templates, seen yesterday; bob in shop and yard."""
    with store.write() as uow:
        for id_ in ("lab", "shop", "yard"):
            uow.galleries.add(NamedGallery(id_, id_, clock.now()))
        uow.commit()
    facts = {"external_id": "e1", "consent": "asked", "groups": ("day",), "metadata": {"desk": [1, {"x": "ö"}]}}
    enrolled("ann", galleries=("lab", "yard"), valid_until=clock.now() + timedelta(days=9), **facts)
    add("ann")
    enrolled("bob", galleries=("shop", "yard"))
    with store.write() as uow:
        uow.sightings.note({"ann": clock.now() - timedelta(days=1)})
        uow.commit()


def state(store, *without):
    """What there is to be known of everybody."""
    rows = store.committed
    templates = {t.id: t.person_id for t in rows.templates.values()}
    return rows.persons, templates, rows.members, {k: v for k, v in rows.sightings.items() if k not in without}


def templates(store, person_id):
    with store.read() as uow:
        return [t.id for t in uow.templates.of(person_id)]


def write(store, work):
    with store.write() as uow:
        work(uow)
        uow.commit()


def in_the_way(undo, change):
    before = undo.store.committed
    with pytest.raises(CannotUndo) as e:
        undo(change.id)
    assert undo.store.committed is before
    return [(one.kind, one.id) for one in e.value.obstacles]


def held(gallery, store):
    """What the index has must be what the rows have."""
    gallery.catch_up()
    with store.read() as uow:
        everybody = {t.person_id for t in store.committed.templates.values()}
        assert gallery.size() == (len(everybody), uow.templates.count())
        for id_ in ("lab", "shop", "yard"):
            members = uow.galleries.members(id_, after=None, limit=99)
            assert gallery.size(id_)[1] == sum(len(uow.templates.of(one)) for one in members)


def test_a_merge_that_is_undone_leaves_everything_as_it_was(two, merge, undo, store, gallery, clock):
    before = state(store, "bob")
    done = merge("ann", "bob").change
    assert state(store, "bob") != before
    clock.move(hours=1)
    undone = undo(done.id)
    assert state(store, "bob") == before
    assert undone.change == replace(done, undone_at=clock.now())
    assert [one.person.id for one in undone.persons] == ["bob", "ann"]
    assert [one.galleries for one in undone.persons] == [("shop", "yard"), ("lab", "yard")]
    held(gallery, store)


def test_a_split_that_is_undone_leaves_everything_as_it_was(two, split, undo, store, gallery):
    before = state(store)
    done = split("ann", templates(store, "ann")[1:], "Eve").change
    held(gallery, store)
    undone = undo(done.id)
    assert state(store) == before
    assert [one.person.id for one in undone.persons] == ["ann"]
    with store.read() as uow:
        assert uow.identities.went_to(done.person_id) == "ann"
    held(gallery, store)


def test_what_was_undone_can_be_done_and_undone_again(two, merge, undo, store):
    before = state(store, "bob")
    for _ in range(3):
        undo(merge("ann", "bob").change.id)
    assert state(store, "bob") == before


def test_nothing_is_undone_twice(two, merge, undo):
    done = merge("ann", "bob").change
    undo(done.id)
    assert in_the_way(undo, done) == [("change", done.id)]
    merge("ann", "bob")
    assert in_the_way(undo, done) == [("change", done.id)]


def test_what_the_other_got_since_stays_with_the_other(two, merge, undo, store, add):
    done = merge("ann", "bob").change
    fresh = add("bob")
    undo(done.id)
    assert fresh in templates(store, "bob")
    assert templates(store, "ann") == list(done.before.templates)


def test_a_template_that_is_gone_or_somebody_elses_is_in_the_way(two, merge, split, undo, store):
    done = merge("ann", "bob").change
    first, second = done.before.templates
    off = split("bob", [first]).change
    write(store, lambda uow: uow.templates.remove("bob", second))
    assert in_the_way(undo, done) == [("template", first), ("template", second)]
    undo(off.id)
    assert in_the_way(undo, done) == [("template", second)]


def test_a_merge_on_top_of_a_merge_must_be_undone_first(two, merge, undo, store, enrolled):
    enrolled("cid")
    before = state(store, "bob", "cid")
    one = merge("ann", "bob").change
    other = merge("bob", "cid").change
    assert in_the_way(undo, one)[0] == ("person", "bob")
    undo(other.id)
    undo(one.id)
    assert state(store, "bob", "cid") == before


def test_erasing_either_leaves_nothing_to_be_undone(two, merge, split, undo, erase, store):
    done = merge("ann", "bob").change
    erase("bob")
    with pytest.raises(UnknownIdentityChange):
        undo(done.id)
    assert store.committed.identities == {}


def test_erasing_who_was_split_off_leaves_nothing_to_be_undone(two, split, undo, erase, store):
    done = split("ann", templates(store, "ann")[1:]).change
    erase(done.person_id)
    with pytest.raises(UnknownIdentityChange):
        undo(done.id)
    assert len(templates(store, "ann")) == 1


def test_a_gallery_that_is_gone_is_left_out_and_one_made_anew_is_another(two, merge, undo, store, clock, gallery):
    done = merge("ann", "bob").change
    write(store, lambda uow: uow.galleries.remove("lab"))
    clock.move(hours=1)
    write(store, lambda uow: uow.galleries.add(NamedGallery("lab", "Lab", clock.now())))
    write(store, lambda uow: uow.galleries.join("lab", "bob"))
    undo(done.id)
    with store.read() as uow:
        assert (uow.galleries.of("ann"), uow.galleries.of("bob")) == (("yard",), ("lab", "shop", "yard"))
    held(gallery, store)


def test_news_of_who_was_split_off_is_in_the_way(two, split, undo, store, add, gallery, clock):
    done = split("ann", templates(store, "ann")[1:]).change
    new = done.person_id
    write(store, lambda uow: uow.templates.add(replace(uow.templates.of("bob")[0], id="tpl_new", person_id=new)))
    write(store, lambda uow: uow.galleries.join("shop", new))
    write(store, lambda uow: uow.galleries.leave("lab", new))
    ChangePerson(store, gallery, clock)(new, {"name": "Eve"}, None)
    assert in_the_way(undo, done) == [("person", new), ("template", "tpl_new"), ("gallery", "lab"), ("gallery", "shop")]


def test_a_split_whose_parts_were_merged_elsewhere_is_not_undone(two, split, merge, undo, store):
    done = split("ann", templates(store, "ann")[1:]).change
    merge(done.person_id, "bob")
    moved = done.before.templates[0]
    assert in_the_way(undo, done) == [("person", done.person_id), ("template", moved)]


def test_it_is_written_in_the_trail(two, merge, split, undo, store):
    merge("ann", "bob")
    last = split("bob", templates(store, "bob")[1:]).change
    undo(last.id)
    with store.read() as uow:
        (record,) = uow.audit.page(AuditFilter(action="person.split_undone"), before=None, limit=5)
    assert (record.person_id, record.private) == ("bob", {"change": last.id})


@pytest.mark.parametrize("change_id", ["chg_none", "../x", ""])
def test_a_change_that_is_not_there_is_not_undone(two, undo, change_id):
    with pytest.raises(UnknownIdentityChange):
        undo(change_id)


def test_who_is_bound_undoes_only_what_touches_its_own_galleries(two, merge, undo, store):
    done = merge("ann", "bob").change
    with pytest.raises(UnknownIdentityChange):
        undo(done.id, within=frozenset({"attic"}))
    with pytest.raises(OutOfScope):
        undo(done.id, within=frozenset({"shop", "yard"}))
    undo(done.id, within=frozenset({"shop", "yard", "lab"}))


def test_who_is_bound_is_not_told_what_is_in_the_way_in_galleries_of_others(two, split, undo, store):
    done = split("ann", templates(store, "ann")[1:]).change
    write(store, lambda uow: uow.galleries.join("shop", done.person_id))
    assert in_the_way(undo, done) == [("gallery", "shop")]
    with pytest.raises(OutOfScope):
        undo(done.id, within=frozenset({"lab", "yard"}))


def test_it_is_stored_though_the_index_cannot_follow(two, merge, undo, store, lagging, reports):
    done = merge("ann", "bob").change
    replace(undo, gallery=lagging(0), report=reports.append)(done.id)
    assert (len(templates(store, "ann")), len(reports)) == (2, 1)
