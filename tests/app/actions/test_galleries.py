import pytest

from app.actions.galleries import ChangeMembership, ListGalleries, MakeGallery, RemoveGallery
from app.actions.identify import Question
from app.errors import Erased, GalleryExists, InvalidField, OutOfScope, UnknownGallery, UnknownPerson

LAB = frozenset({"lab"})


@pytest.fixture
def make(store, gallery, clock, identifiers):
    return MakeGallery(store, gallery, clock, identifiers)


@pytest.fixture
def list_galleries(store, gallery, calibration):
    return ListGalleries(store, gallery, calibration)


@pytest.fixture
def remove(store, gallery, clock):
    return RemoveGallery(store, gallery, clock)


@pytest.fixture
def change(store, gallery, clock):
    return ChangeMembership(store, gallery, clock)


@pytest.fixture
def lab(make):
    return make("The lab", "lab")


def ids(sizes):
    return [one.id for one in sizes]


def test_makes_an_empty_gallery_with_an_id_of_its_own_or_of_ones_choosing(make, list_galleries, clock):
    chosen, given = make(" The lab ", "lab"), make("Shop")
    assert (chosen.id, chosen.name, chosen.created_at) == ("lab", "The lab", clock.now())
    assert given.id.startswith("gal_")
    assert ids(list_galleries(after=None, limit=9)) == ["all", given.id, "lab"]
    assert [one.persons for one in list_galleries(after=None, limit=9)] == [0, 0, 0]


@pytest.mark.parametrize("chosen", ["all", "", "../x", "a b", "x" * 101])
def test_refuses_an_id_that_cannot_be(make, chosen):
    with pytest.raises(InvalidField) as e:
        make("Lab", chosen)
    assert e.value.field == "id"


def test_refuses_an_id_that_is_taken_and_a_name_that_cannot_be(make, lab):
    with pytest.raises(GalleryExists):
        make("Another", "lab")
    with pytest.raises(InvalidField):
        make(" ", "shop")


def test_lists_page_by_page_with_everybody_first(make, list_galleries):
    for id_ in ("a", "m", "z"):
        make(id_, id_)
    assert ids(list_galleries(after=None, limit=2)) == ["all", "a"]
    assert ids(list_galleries(after="all", limit=2)) == ["a", "m"]
    assert ids(list_galleries(after="a", limit=9)) == ["m", "z"]


def test_the_threshold_tightens_as_the_gallery_grows(enrolled, lab, list_galleries):
    small = list_galleries.one("lab")
    assert (small.persons, small.templates, small.point.threshold) == (0, 0, 0.6)
    for n in range(11):
        enrolled(f"p{n}", galleries=("lab",) if n < 10 else ())
    assert list_galleries.one("lab").point.threshold == 0.6
    everybody = list_galleries.one("all")
    assert (everybody.persons, everybody.templates, everybody.point.threshold) == (11, 11, 0.7)
    enrolled("p11", galleries=("lab",))
    assert (list_galleries.one("lab").persons, list_galleries.one("lab").point.threshold) == (11, 0.7)


def test_a_gallery_that_is_not_there_is_unknown(lab, list_galleries):
    for name in ("shop", "../x", ""):
        with pytest.raises(UnknownGallery):
            list_galleries.one(name)


def test_who_joins_is_found_there_and_who_leaves_is_not(enrolled, lab, change, identify, pictures):
    enrolled("ann")
    enrolled("bob")

    def who(gallery="lab"):
        (answer,) = identify(pictures.of("ann"), Question(gallery=gallery)).answers
        return getattr(getattr(answer.decision, "candidate", None), "person", None)

    assert who() is None
    joined = change("lab", "ann", member=True)
    assert who().id == "ann"
    assert change("lab", "ann", member=True) == joined
    assert change("lab", "ann", member=False) > joined
    assert who() is None
    assert who("all").id == "ann"
    assert change("lab", "bob", member=False) == change("lab", "bob", member=False)


def test_identification_goes_by_the_size_of_the_gallery_it_is_in(enrolled, lab, identify, pictures):
    for n in range(12):
        enrolled(f"p{n}", galleries=("lab",) if n < 3 else ())
    small, large = (identify(pictures.of("p0", 0.65), Question(gallery=g)) for g in ("lab", "all"))
    assert (small.persons, small.point.threshold) == (3, 0.6)
    assert (large.persons, large.point.threshold) == (12, 0.7)
    assert [found.answers[0].decision.__class__.__name__ for found in (small, large)] == ["Recognized", "NotRecognized"]


def test_refuses_memberships_that_cannot_be(enrolled, lab, change, erase, store):
    enrolled("ann")
    enrolled("gone")
    erase("gone")
    before = store.committed
    for gallery, who, error in (
        ("all", "ann", InvalidField),
        ("shop", "ann", UnknownGallery),
        ("lab", "nobody", UnknownPerson),
        ("lab", "gone", Erased),
    ):
        for member in (True, False):
            with pytest.raises(error):
                change(gallery, who, member=member)
    assert store.committed is before


def test_removing_a_gallery_erases_nobody(enrolled, lab, remove, identify, pictures, store):
    enrolled("ann", galleries=("lab",))
    enrolled("bob", galleries=("lab",))
    assert remove("lab") == 2
    with pytest.raises(UnknownGallery):
        identify(pictures.of("ann"), Question(gallery="lab"))
    assert identify(pictures.of("ann"), Question()).answers[0].decision.candidate.person.id == "ann"
    for name, error in (("lab", UnknownGallery), ("../x", UnknownGallery), ("all", InvalidField)):
        with pytest.raises(error):
            remove(name)


def test_an_erased_person_is_in_no_gallery_any_more(enrolled, lab, erase, list_galleries, store):
    enrolled("ann", galleries=("lab",))
    erase("ann")
    assert list_galleries.one("lab").persons == 0
    with store.read() as uow:
        assert uow.galleries.members("lab", after=None, limit=2) == []


def test_who_is_bound_sees_and_touches_no_other_gallery(enrolled, make, lab, list_galleries, remove, change):
    make("Shop", "shop")
    enrolled("ann", galleries=("lab",))
    enrolled("bob", galleries=("shop",))
    assert ids(list_galleries(within=LAB, after=None, limit=9)) == ["lab"]
    assert ids(list_galleries(within=LAB | {"gone"}, after="a", limit=9)) == ["lab"]
    assert ids(list_galleries(within=LAB, after="lab", limit=9)) == []
    for refused in (
        lambda: list_galleries.one("shop", within=LAB),
        lambda: list_galleries.one("all", within=LAB),
        lambda: remove("shop", within=LAB),
        lambda: change("shop", "ann", member=True, within=LAB),
    ):
        with pytest.raises(UnknownGallery):
            refused()
    with pytest.raises(UnknownPerson):
        change("lab", "bob", member=True, within=LAB)
    assert remove("lab", within=LAB) == 1


def test_who_is_bound_makes_no_gallery_but_its_own(make):
    for chosen in (None, "shop"):
        with pytest.raises(OutOfScope):
            make("Another", chosen, within=LAB)
    assert make("Lab", "lab", within=LAB).id == "lab"


def test_a_gallery_is_stored_though_the_index_cannot_follow(store, lagging, clock, identifiers, reports):
    made = MakeGallery(store, lagging(0), clock, identifiers, reports.append)("Lab", "lab")
    with store.read() as uow:
        assert uow.galleries.get("lab") == made
    assert len(reports) == 1
