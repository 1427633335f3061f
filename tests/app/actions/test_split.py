from dataclasses import replace

import pytest

from app.actions.add_template import AddTemplate
from app.actions.identify import Question
from app.actions.split import Split
from app.domain.audit import AuditFilter
from app.domain.gallery import NamedGallery
from app.domain.identity import SPLIT
from app.errors import InvalidField, OutOfScope, UnknownPerson, UnknownTemplate


@pytest.fixture
def split(store, gallery, clock, identifiers):
    return Split(store, gallery, clock, identifiers)


@pytest.fixture
def ann(enrolled, store, gallery, reader, calibration, clock, identifiers, pictures):
    """Two persons' faces under one name, in lab and shop."""
    with store.write() as uow:
        for id_ in ("lab", "shop"):
            uow.galleries.add(NamedGallery(id_, id_, clock.now()))
        uow.commit()
    facts = {"external_id": "e1", "consent": "asked", "groups": ("day",), "metadata": {"desk": 1}}
    person = enrolled("ann", galleries=("lab", "shop"), **facts)
    add = AddTemplate(store, gallery, reader, calibration, clock, identifiers, 0.35)
    for _ in range(2):
        add(pictures.of("eve"), "ann", override=True)
    return person


def templates(store, person_id):
    with store.read() as uow:
        return [t.id for t in uow.templates.of(person_id)]


def test_the_named_templates_become_a_new_persons(ann, split, store, clock, identify, pictures):
    kept, *eves = templates(store, "ann")
    clock.move(days=1)
    done = split("ann", eves, "Eve")
    old, new = (one.person for one in done.persons)
    assert old == ann
    assert (new.name, new.created_at, new.revision) == ("Eve", clock.now(), 1)
    assert (templates(store, "ann"), templates(store, new.id)) == ([kept], eves)
    assert [one.galleries for one in done.persons] == [("lab", "shop")] * 2
    change = done.change
    assert (change.kind, change.person_id, change.other_id) == (SPLIT, new.id, "ann")
    for face, who in (("ann", "ann"), ("eve", new.id)):
        for where in ("all", "lab", "shop"):
            (answer,) = identify(pictures.of(face), Question(gallery=where)).answers
            assert answer.decision.candidate.person.id == who


def test_what_a_person_may_is_copied_and_what_tells_who_it_is_is_not(ann, split, store, change):
    change(ann, active=False, valid_until=ann.created_at)
    new = split("ann", templates(store, "ann")[:1]).persons[1].person
    assert (new.name, new.active, new.valid_until, new.groups) == ("Ann", False, ann.created_at, ("day",))
    assert (new.external_id, new.consent, new.metadata) == (None, None, {})


def test_it_is_written_in_the_trail_of_the_old_person(ann, split, store):
    done = split("ann", templates(store, "ann")[:2])
    with store.read() as uow:
        (record,) = uow.audit.page(AuditFilter(action="person.split"), before=None, limit=5)
    assert (record.person_id, record.line.facts) == ("ann", {"templates": 2})
    assert record.private == {"change": done.change.id}


def test_refuses_none_all_and_others_templates(ann, split, store, enrolled):
    enrolled("bob")
    theirs = templates(store, "ann")
    before = store.committed
    for named, error in (
        ([], InvalidField),
        (theirs, InvalidField),
        ([theirs[0], *templates(store, "bob")], UnknownTemplate),
        (["tpl_none"], UnknownTemplate),
    ):
        with pytest.raises(error):
            split("ann", named)
    with pytest.raises(InvalidField):
        split("ann", theirs[:1], " ")
    with pytest.raises(UnknownPerson):
        split("nobody", theirs[:1])
    assert store.committed is before


def test_a_template_named_twice_counts_once(ann, split, store):
    first = templates(store, "ann")[0]
    assert split("ann", [first, first]).change.before.templates == (first,)


def test_who_is_bound_splits_only_whom_it_sees_wholly(ann, split, store):
    named = templates(store, "ann")[:1]
    with pytest.raises(UnknownPerson):
        split("ann", named, within=frozenset({"yard"}))
    with pytest.raises(OutOfScope):
        split("ann", named, within=frozenset({"lab"}))
    assert len(split("ann", named, within=frozenset({"lab", "shop"})).persons) == 2


def test_it_is_stored_though_the_index_cannot_follow(ann, split, store, lagging, reports):
    done = replace(split, gallery=lagging(0), report=reports.append)("ann", templates(store, "ann")[:1])
    assert (len(templates(store, done.change.person_id)), len(reports)) == (1, 1)
