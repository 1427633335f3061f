from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from app.actions import duplicates
from app.actions.add_template import AddTemplate
from app.actions.duplicates import ONE_PERSON, TWO_PERSONS, FindDuplicates
from app.domain.gallery import NamedGallery
from app.errors import Busy, InvalidField, UnknownGallery, UnsupportedTarget


@pytest.fixture
def find(store, calibration):
    return FindDuplicates(store, calibration)


@pytest.fixture
def add(store, gallery, reader, calibration, clock, identifiers):
    """One more template of somebody, whatever it looks like."""
    add_template = AddTemplate(store, gallery, reader, calibration, clock, identifiers, 0.35)
    return lambda who, image: add_template(image, who, override=True)


def names(found):
    return [tuple(one.person.id for one in finding.persons) for finding in found.items]


def behind(page):
    return {"after": page.items[-1].place, "as_of": page.index_seq}


def test_lists_the_most_similar_persons_first(enrolled, find, pictures):
    enrolled("ann")
    enrolled("bob")
    enrolled("cid", image=pictures.of("cid", 0.6, like="ann"))  # 0.8 to ann
    enrolled("dan", image=pictures.of("dan", 0.8, like="bob"))  # 0.6 to bob
    enrolled("eve", image=pictures.of("eve", 0.9, like="bob"))  # 0.44 to bob
    found = find(limit=10)
    assert names(found) == [("ann", "cid"), ("bob", "dan")]
    assert [round(one.similarity, 4) for one in found.items] == [0.8, 0.6]
    assert {one.kind for one in found.items} == {TWO_PERSONS}
    assert (found.templates, found.complete, found.point.name) == (5, True, "fmr-0.001")
    assert names(find(target_fmr=0.01, limit=10)) == [("ann", "cid"), ("bob", "dan"), ("bob", "eve")]


def test_then_persons_whose_own_templates_are_not_alike_least_first(enrolled, find, add, pictures):
    for who, other in (("ann", "x"), ("bob", "y")):
        enrolled(who)
        add(who, pictures.of(who, 0.4 if who == "ann" else 0.1, like=other))
    enrolled("cid", image=pictures.of("cid", 0.5, like="ann"))
    found = find(limit=10)
    kinds = [(one.kind, round(one.similarity, 4), ids) for one, ids in zip(found.items, names(found), strict=True)]
    assert kinds == [
        (TWO_PERSONS, 0.866, ("ann", "cid")),
        (ONE_PERSON, 0.1, ("bob",)),
        (ONE_PERSON, 0.4, ("ann",)),
    ]


def test_without_a_target_whoever_an_enrolment_would_tell_of_is_listed(enrolled, find, pictures, calibration):
    point = replace(calibration.verification[1], threshold=0.65)
    find.calibration = replace(calibration, verification=(calibration.verification[0], point))
    enrolled("ann")
    enrolled("bob", image=pictures.of("bob", 0.79, like="ann"))  # 0.613: above the 1:K point, below that of 1:1
    assert names(find(limit=10)) == [("ann", "bob")]
    assert find(limit=10).point.threshold == 0.4
    assert names(find(target_fmr=0.001, limit=10)) == []


def test_a_pair_that_an_enrolment_was_allowed_to_make_is_listed(find, enrolled, pictures):
    enrolled("ann")
    image = pictures.of("bob", 0.7, like="ann")
    allowed = enrolled("bob", image=image)
    assert names(find(limit=10)) == [("ann", allowed.id)]


def test_pages_go_on_behind_the_last_finding(enrolled, find, add, pictures):
    for n, who in enumerate("abcdefg"):
        enrolled(who, image=pictures.of(who, 0.1 + n / 100, like="z"))
    add("a", pictures.of("a", 0.05))
    whole = find(limit=100).items
    assert len(whole) == 7 * 6 // 2 + 1
    paged, more = [], {}
    while (page := find(limit=4, **more)).items:
        paged += page.items
        more = behind(page)
    assert [one.place for one in paged] == [one.place for one in whole]


def test_a_later_page_is_of_the_same_moment_and_tells_of_nobody_who_is_gone(
    enrolled, find, erase, pictures, monkeypatch
):
    for who in "abc":
        enrolled(who, image=pictures.of(who, 0.1, like="z"))
    first = find(limit=1)
    compared = []
    monkeypatch.setattr(duplicates, "closest_between", lambda *asked: compared.append(asked))
    erase("c")
    rest = find(limit=10, **behind(first))
    assert (compared, rest.index_seq) == ([], first.index_seq)
    assert all("c" not in ids for ids in names(rest))


@pytest.fixture
def compared(monkeypatch):
    """The comparisons that were made."""
    inner, made = duplicates.closest_between, []

    def counted(*asked):
        made.append(asked)
        return inner(*asked)

    monkeypatch.setattr(duplicates, "closest_between", counted)
    return made


@pytest.fixture
def several(enrolled, pictures):
    for who in "abc":
        enrolled(who, image=pictures.of(who, 0.1, like="z"))


def test_callers_who_ask_for_different_things_or_moments_page_on_beside_each_other(
    several, enrolled, find, pictures, compared
):
    asked = [{}, {"target_fmr": 0.01}, {"target_fmr": 0.001}]
    firsts = [find(limit=1, **one) for one in asked]
    enrolled("d", image=pictures.of("d", 0.1, like="z"))
    assert len(find(limit=10).items) == 6
    assert len(compared) == 4
    for one, first in zip(asked, firsts, strict=True):
        rest = find(limit=10, **one, **behind(first))
        assert (len(rest.items), rest.index_seq) == (2, first.index_seq)
    assert len(compared) == 4


def test_of_the_results_the_one_asked_for_least_recently_goes(several, find, compared):
    targets = [0.001 + n / 1000 for n in range(duplicates.KEPT)]
    for target in targets:
        find(limit=1, target_fmr=target, accept_extrapolated=True)
    find(limit=1, target_fmr=targets[0], accept_extrapolated=True)
    find(limit=1)
    assert len(compared) == duplicates.KEPT + 1
    find(limit=1, target_fmr=targets[0], accept_extrapolated=True)
    assert len(compared) == duplicates.KEPT + 1
    find(limit=1, target_fmr=targets[1], accept_extrapolated=True)
    assert len(compared) == duplicates.KEPT + 2


def test_another_process_goes_on_where_nothing_changed_and_else_says_to_begin_again(
    several, enrolled, find, store, calibration, pictures, compared
):
    first, other = find(limit=1), FindDuplicates(store, calibration)
    assert [one.place for one in other(limit=10, **behind(first)).items] == [
        one.place for one in find(limit=10, **behind(first)).items
    ]
    enrolled("d", image=pictures.of("d", 0.1, like="z"))
    with pytest.raises(InvalidField, match="begin again") as refusal:
        FindDuplicates(store, calibration)(limit=10, **behind(first))
    assert (refusal.value.field, len(compared)) == ("cursor", 2)
    assert len(find(limit=10, **behind(first)).items) == 2


def test_a_page_of_a_moment_that_passes_while_it_is_compared_is_refused(
    several, enrolled, find, store, calibration, pictures, monkeypatch
):
    first, other = find(limit=1), FindDuplicates(store, calibration)
    acquire = other._busy
    other._busy = Meanwhile(acquire, lambda: enrolled("d", image=pictures.of("d", 0.1, like="z")))
    with pytest.raises(InvalidField, match="begin again"):
        other(limit=10, **behind(first))
    assert len(other(limit=10).items) == 6


class Meanwhile:
    """A lock before which something else happens."""

    def __init__(self, lock, do):
        self._lock, self._do, self.release = lock, do, lock.release

    def acquire(self, *, blocking):
        self._do()
        return self._lock.acquire(blocking=blocking)


def test_looks_again_once_anything_changed_and_not_before(enrolled, find, pictures, monkeypatch):
    enrolled("ann", image=pictures.of("ann", 0.1, like="z"))
    enrolled("bob", image=pictures.of("bob", 0.1, like="z"))
    inner, compared = duplicates.closest_between, []

    def counted(*asked):
        compared.append(asked)
        return inner(*asked)

    monkeypatch.setattr(duplicates, "closest_between", counted)
    for _ in range(2):
        assert len(find(limit=10).items) == 1
    assert len(compared) == 1
    enrolled("cid", image=pictures.of("cid", 0.1, like="z"))
    assert len(find(limit=10).items) == 3
    assert len(find(limit=10, target_fmr=0.01).items) == 3
    assert len(compared) == 3


def test_who_opted_out_is_not_compared_and_who_is_not_active_is(enrolled, find, change, pictures):
    ann = enrolled("ann", image=pictures.of("ann", 0.1, like="z"))
    bob = enrolled("bob", image=pictures.of("bob", 0.1, like="z"))
    change(ann, active=False)
    assert names(find(limit=10)) == [("ann", "bob")]
    change(bob, face_opt_out=True)
    assert names(find(limit=10)) == []
    assert find(limit=10).templates == 1


@pytest.fixture
def galleries(store):
    with store.write() as uow:
        for id_ in ("lab", "shop"):
            uow.galleries.add(NamedGallery(id_, id_, datetime(2030, 1, 1, tzinfo=UTC)))
        uow.commit()


def test_who_is_bound_hears_only_of_pairs_within_its_galleries(enrolled, find, galleries, pictures):
    for who, where in (("ann", ("lab",)), ("bob", ("shop",)), ("cid", ("lab", "shop")), ("dan", ())):
        enrolled(who, image=pictures.of(who, 0.1, like="z"), galleries=where)
    assert len(find(limit=10).items) == 6
    assert names(find(limit=10, within=frozenset({"lab"}))) == [("ann", "cid")]
    both = find(limit=10, within=frozenset({"lab", "shop"}))
    assert sorted(names(both)) == [("ann", "bob"), ("ann", "cid"), ("bob", "cid")]
    assert both.templates == 3
    assert names(find(limit=10, gallery="shop")) == [("bob", "cid")]
    assert names(find(limit=10, gallery="shop", within=frozenset({"shop"}))) == [("bob", "cid")]
    with pytest.raises(UnknownGallery):
        find(limit=10, gallery="shop", within=frozenset({"lab"}))
    with pytest.raises(UnknownGallery):
        find(limit=10, gallery="nowhere")


def test_who_left_the_gallery_since_is_not_told_of_on_a_later_page(enrolled, find, galleries, store, pictures):
    for who in ("ann", "bob", "cid"):
        enrolled(who, image=pictures.of(who, 0.1, like="z"), galleries=("lab",))
    within = frozenset({"lab"})
    first = find(limit=1, within=within)
    with store.write() as uow:
        uow.galleries.leave("lab", "cid")
        uow.commit()
    rest = find(limit=10, within=within, **behind(first))
    assert all("cid" not in ids for ids in names(rest))


def test_templates_of_another_model_are_not_compared(enrolled, find, store, pictures):
    enrolled("ann", image=pictures.of("ann", 0.1, like="z"))
    enrolled("bob", image=pictures.of("bob", 0.1, like="z"))
    with store.write() as uow:
        (one,) = uow.templates.of("bob")
        uow.templates.remove("bob", one.id)
        uow.templates.add(replace(one, model_id="model-b"))
        uow.commit()
    assert (names(find(limit=10)), find(limit=10).templates) == ([], 1)


def test_only_one_at_a_time_compares(enrolled, find):
    enrolled("ann")
    find._busy.acquire()
    with pytest.raises(Busy):
        find(limit=1)
    find._busy.release()
    assert find(limit=1).items == []


def test_refuses_more_templates_than_it_may_compare(enrolled, store, calibration):
    for who in "abc":
        enrolled(who)
    assert FindDuplicates(store, calibration, 3)(limit=1).templates == 3
    with pytest.raises(InvalidField):
        FindDuplicates(store, calibration, 2)(limit=1)


def test_a_target_without_evidence_is_refused(find):
    with pytest.raises(UnsupportedTarget):
        find(limit=1, target_fmr=1e-6)
    assert find(limit=1, target_fmr=1e-6, accept_extrapolated=True).point.threshold == 0.9


def test_finds_what_a_slow_loop_over_the_stored_vectors_finds(enrolled, find, store, reader, pictures):
    rng = np.random.default_rng(5)
    base = rng.normal(size=(12, 128))
    for n in range(60):
        face = pictures.face("someone")
        vector = base[n % 12] + 0.8 * rng.normal(size=128)
        image = pictures.show(replace(face, embedding=(vector / np.linalg.norm(vector)).astype(np.float32)))
        enrolled(f"p{n:02}", image=image)
    with store.read() as uow:
        rows = [(t.person_id, t.vector.astype(np.float64)) for t in uow.templates.of_model("model-a")]
    expected = {}
    for i, (one, left) in enumerate(rows):
        for other, right in rows[i + 1 :]:
            if (similarity := sum(float(a) * float(b) for a, b in zip(left, right, strict=True))) >= 0.5:
                expected[one, other] = similarity
    found = find(limit=1000)
    assert len(expected) > 50
    assert dict(zip(names(found), (one.similarity for one in found.items), strict=True)) == pytest.approx(expected)
