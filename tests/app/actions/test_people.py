import pytest

from app.actions.people import FindPerson, ListPeople, ListTemplates
from app.errors import UnknownGallery, UnknownPerson


def test_lists_persons_in_order_of_id_a_page_at_a_time(enrolled, store):
    for who in ("cid", "ann", "bob"):
        enrolled(who)
    list_people = ListPeople(store)
    assert [p.person.id for p in list_people(gallery="all", after=None, limit=2)] == ["ann", "bob"]
    assert [p.person.id for p in list_people(gallery=None, after="bob", limit=2)] == ["cid"]


def test_refuses_to_list_a_gallery_that_does_not_exist(store):
    with pytest.raises(UnknownGallery):
        ListPeople(store)(gallery="lab", after=None, limit=2)


def test_lists_the_templates_of_one_person(enrolled, store):
    enrolled("ann")
    enrolled("bob")
    assert [t.person_id for t in ListTemplates(store)("ann")] == ["ann"]


def test_refuses_who_never_was(store):
    for action in (FindPerson(store), ListTemplates(store)):
        with pytest.raises(UnknownPerson):
            action("nobody")
