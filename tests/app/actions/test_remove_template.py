import dataclasses

import pytest

from app.actions.remove_template import RemoveTemplate
from app.errors import UnknownPerson, UnknownTemplate


@pytest.fixture
def remove_template(store, gallery, clock) -> RemoveTemplate:
    return RemoveTemplate(store, gallery, clock)


def template_of(store, person_id):
    with store.read() as uow:
        return uow.templates.of(person_id)[0].id


def test_takes_it_out_of_rows_and_index(enrolled, remove_template, store, gallery):
    enrolled("ann")
    template_id = template_of(store, "ann")
    seq = remove_template("ann", template_id)
    assert not gallery.holds_any([template_id])
    assert (gallery.size(), seq) == ((0, 0), 2)
    with store.read() as uow:
        assert uow.templates.count() == 0
        assert uow.people.get("ann") is not None


@pytest.mark.parametrize("template_id", ["tpl_none", "", "\0", "a/b"])
def test_refuses_a_template_that_never_was(enrolled, remove_template, store, template_id):
    enrolled("ann")
    with pytest.raises(UnknownTemplate):
        remove_template("ann", template_id)
    with store.read() as uow:
        assert uow.templates.count() == 1


def test_refuses_a_template_of_somebody_else(enrolled, remove_template, store):
    enrolled("ann")
    enrolled("bob")
    with pytest.raises(UnknownTemplate):
        remove_template("ann", template_of(store, "bob"))
    with store.read() as uow:
        assert uow.templates.count() == 2


def test_refuses_a_person_who_never_was(remove_template):
    with pytest.raises(UnknownPerson):
        remove_template("nobody", "tpl_1")


def test_a_removal_is_stored_though_the_index_cannot_follow(enrolled, remove_template, store, lagging, reports):
    enrolled("ann")
    remove = dataclasses.replace(remove_template, gallery=lagging(0), report=reports.append)
    assert remove("ann", template_of(store, "ann")) == 2
    assert len(reports) == 1
    with store.read() as uow:
        assert uow.templates.count() == 0
