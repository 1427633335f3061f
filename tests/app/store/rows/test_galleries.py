from datetime import UTC, datetime

import pytest

from app.domain.gallery import NamedGallery
from app.errors import GalleryExists, UnknownGallery, UnknownPerson
from app.ports import PersonFilter

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def gallery():
    return lambda id_: NamedGallery(id_, id_.title(), NOW)


@pytest.fixture
def filled(store, person, gallery):
    """Galleries a and b; persons 1 to 3; 1 and 2 in a, 2 in b."""
    with store.write() as uow:
        for id_ in ("a", "b"):
            uow.galleries.add(gallery(id_))
        for id_ in ("per_1", "per_2", "per_3"):
            uow.people.add(person(id_))
        for pair in (("a", "per_1"), ("a", "per_2"), ("b", "per_2")):
            assert uow.galleries.join(*pair)
        uow.commit()
    return store


def changes(store, after=0):
    with store.read() as uow:
        return [(c.kind, c.id, c.op) for c in uow.changes.since(after, 100)]


def test_a_gallery_is_found_as_it_was_made(store, gallery):
    with store.write() as uow:
        uow.galleries.add(gallery("floor-1"))
        uow.commit()
    with store.read() as uow:
        assert uow.galleries.get("floor-1") == gallery("floor-1")
        assert uow.galleries.get("floor-2") is None
    assert changes(store) == [("gallery", "floor-1", "add")]


def test_an_id_is_given_once_and_the_transaction_goes_on(store, gallery):
    with store.write() as uow:
        uow.galleries.add(gallery("a"))
        with pytest.raises(GalleryExists):
            uow.galleries.add(gallery("a"))
        uow.galleries.add(gallery("b"))
        uow.commit()
    with store.read() as uow:
        assert [g.id for g in uow.galleries.page(after=None, limit=10)] == ["a", "b"]
        assert [g.id for g in uow.galleries.page(after="a", limit=10)] == ["b"]
        assert [g.id for g in uow.galleries.page(after=None, limit=1)] == ["a"]


def test_memberships_are_seen_from_both_sides(filled):
    with filled.read() as uow:
        assert uow.galleries.of("per_2") == ("a", "b")
        assert uow.galleries.of("per_3") == ()
        assert uow.galleries.of_many(["per_1", "per_2", "per_3", "nobody"]) == {"per_1": ("a",), "per_2": ("a", "b")}
        assert uow.galleries.members("a", after=None, limit=10) == ["per_1", "per_2"]
        assert uow.galleries.members("a", after="per_1", limit=10) == ["per_2"]
        assert sorted(uow.galleries.memberships()) == [("a", "per_1"), ("a", "per_2"), ("b", "per_2")]


def test_joining_twice_is_no_change(filled):
    before = changes(filled)
    with filled.write() as uow:
        assert not uow.galleries.join("a", "per_1")
        assert not uow.galleries.leave("b", "per_1")
        uow.commit()
    assert changes(filled) == before


def test_joining_needs_a_gallery_and_a_person(filled):
    with filled.write() as uow:
        with pytest.raises(UnknownGallery):
            uow.galleries.join("c", "per_1")
        with pytest.raises(UnknownPerson):
            uow.galleries.join("a", "per_9")


def test_each_change_of_a_membership_tells_of_its_person(filled):
    seen = len(changes(filled))
    with filled.write() as uow:
        uow.galleries.join("b", "per_3")
        uow.galleries.leave("a", "per_1")
        uow.commit()
    assert changes(filled)[seen:] == [("member", "per_3", "update"), ("member", "per_1", "update")]


def test_a_removed_gallery_leaves_its_persons(filled):
    with filled.write() as uow:
        assert uow.galleries.remove("a") == 2
        with pytest.raises(UnknownGallery):
            uow.galleries.remove("a")
        uow.commit()
    with filled.read() as uow:
        assert uow.galleries.of("per_2") == ("b",)
        assert uow.people.get("per_1") is not None
    assert changes(filled)[-1] == ("gallery", "a", "remove")


def test_an_erased_person_is_a_member_of_nothing(filled):
    with filled.write() as uow:
        uow.people.erase("per_2")
        uow.commit()
    with filled.read() as uow:
        assert sorted(uow.galleries.memberships()) == [("a", "per_1")]


def test_persons_are_listed_by_gallery(filled):
    def listed(*galleries):
        with filled.read() as uow:
            which = PersonFilter(galleries=frozenset(galleries))
            return [p.id for p in uow.people.page(which, after=None, limit=10)]

    assert listed("a") == ["per_1", "per_2"]
    assert listed("b") == ["per_2"]
    assert listed("a", "b") == ["per_1", "per_2"]
    assert listed() == []
