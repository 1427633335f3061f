import pytest

from app.actions.look import Look
from app.actions.lookout import MOST_LOOKALIKES, Lookout
from app.actions.trail import NO_TRAIL
from app.domain.face import ReadingTimes
from app.domain.gallery import NamedGallery
from app.errors import DuplicatePerson


@pytest.fixture
def look(store, gallery, calibration, clock, pictures):
    def make(who="ann", **more):
        face = pictures.face(who)
        look = Look(face, face.embedding, "model-a", ReadingTimes(), None)
        return Lookout(store, gallery, calibration, look, clock, NO_TRAIL, **more)

    return make


@pytest.fixture
def lab(store, clock):
    with store.write() as uow:
        uow.galleries.add(NamedGallery("lab", "Lab", clock.now()))
        uow.commit()


def ids(watch):
    return [one.person_id for one in watch.alike]


def test_tells_of_everybody_who_would_be_recognized_closest_first(enrolled, look, pictures):
    enrolled("ann")
    enrolled("bob", image=pictures.of("bob", 0.5, like="ann"))  # 0.866
    enrolled("cid", image=pictures.of("cid", 0.9, like="ann"))  # 0.436
    watch = look()
    assert ids(watch) == ["ann", "bob"]
    assert [round(one.similarity, 3) for one in watch.alike] == [1.0, 0.866]
    with pytest.raises(DuplicatePerson) as e:
        watch.refuse("reject")
    assert e.value.lookalikes == watch.alike
    watch.refuse("allow")


def test_the_person_at_hand_is_nobody_else(enrolled, look):
    enrolled("ann")
    watch = look(except_for="ann")
    assert watch.alike == ()
    watch.refuse("reject")


def test_who_is_not_active_counts_and_who_opted_out_does_not(enrolled, look, change):
    ann = enrolled("ann")
    change(ann, active=False)
    assert ids(look()) == ["ann"]
    change(ann, face_opt_out=True)
    assert look().alike == ()


def test_tells_of_no_more_than_there_is_room_for(enrolled, look, pictures):
    for n in range(MOST_LOOKALIKES + 3):
        enrolled(f"p{n:02}", image=pictures.of("ann"))
    assert ids(look()) == [f"p{n:02}" for n in range(MOST_LOOKALIKES)]


def test_who_is_bound_is_refused_for_everybody_and_told_only_of_its_own(enrolled, lab, look, pictures):
    enrolled("ann")
    within = frozenset({"lab"})
    watch = look(within=within)
    assert watch.alike == ()
    with pytest.raises(DuplicatePerson) as e:
        watch.refuse("reject")
    assert e.value.lookalikes == ()
    enrolled("bob", image=pictures.of("bob", 0.5, like="ann"), galleries=("lab",))
    watch = look(within=within)
    assert ids(watch) == ["bob"]
    with pytest.raises(DuplicatePerson) as e:
        watch.refuse("reject")
    assert [one.person_id for one in e.value.lookalikes] == ["bob"]


def test_looks_again_inside_the_transaction_where_anything_changed(enrolled, look, store):
    watch = look()
    enrolled("ann")
    assert watch.alike == ()
    with store.write() as uow:
        watch.look_again(uow)
    assert (ids(watch), watch.seq) == (["ann"], 1)


def test_does_not_look_again_where_nothing_changed(enrolled, look, store, gallery, monkeypatch):
    enrolled("bob")
    watch = look()
    searched = []
    monkeypatch.setattr(gallery, "search", lambda *asked: searched.append(asked))
    with store.write() as uow:
        watch.look_again(uow)
    assert searched == []
