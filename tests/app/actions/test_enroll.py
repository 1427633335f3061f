import dataclasses
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from app.actions.enroll import Enrolment
from app.errors import (
    DuplicatePerson,
    InvalidField,
    NoFace,
    PersonExists,
    PoorQuality,
    SeveralFaces,
    UnknownGallery,
    UnreadableImage,
)


class Notes:
    """A trail that only remembers."""

    def __init__(self):
        self.noted = []

    def note(self, entry):
        self.noted.append(entry)


def nothing_stored(store):
    with store.read() as uow:
        return uow.people.count() == 0 and uow.templates.count() == 0 and uow.changes.head() == 0


def test_stores_the_person_and_one_template_and_brings_the_index_in_step(enroll, pictures, store, gallery, clock):
    said = Enrolment(
        "  Ann  ", external_id="e-7", metadata={"desk": 3}, groups=("day", "day", "night"), consent="signed"
    )
    done = enroll(pictures.of("ann"), said)
    with store.read() as uow:
        person = uow.people.get(done.person.id)
        assert (person.name, person.external_id, person.metadata) == ("Ann", "e-7", {"desk": 3})
        assert (person.groups, person.consent, person.created_at) == (("day", "night"), "signed", clock.now())
        assert [t.id for t in uow.templates.of(person.id)] == [done.template.id]
        assert done.index_seq == uow.changes.head()
    assert gallery.holds_any([done.template.id])
    assert gallery.size() == (1, 1)


def test_takes_an_id_of_the_callers_choosing(enroll, pictures):
    assert enroll(pictures.of("ann"), Enrolment("Ann", person_id="badge-17")).person.id == "badge-17"


def test_refuses_an_id_that_is_taken_before_it_reads_the_picture(enrolled, enroll, pictures, reader):
    enrolled("ann")
    reader.asked.clear()
    with pytest.raises(PersonExists):
        enroll(pictures.of("bob"), Enrolment("Bob", person_id="ann"))
    assert reader.asked == []


def test_of_two_at_once_with_one_id_only_the_first_is_stored(enroll, pictures, reader, store):
    both_read = threading.Barrier(2)
    reader.before_reading = both_read.wait

    def attempt(who):
        try:
            return enroll(pictures.of(who), Enrolment(who, person_id="p1")).person.name
        except PersonExists:
            return "taken"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, ["ann", "bob"]))
    assert sorted(outcomes) in (["ann", "taken"], ["bob", "taken"])
    with store.read() as uow:
        assert (uow.people.count(), uow.templates.count()) == (1, 1)


def test_of_two_at_once_with_one_face_only_the_first_is_stored(enroll, pictures, meeting, store):
    images = [pictures.of("ann"), pictures.of("ann", 0.9)]
    at_once = dataclasses.replace(enroll, gallery=meeting)

    def attempt(image):
        try:
            at_once(image, Enrolment("Ann"))
        except DuplicatePerson:
            return "duplicate"
        return "stored"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, images)) == ["duplicate", "stored"]
    with store.read() as uow:
        assert uow.people.count() == 1


def test_refuses_somebody_who_looks_like_somebody_else_and_says_who(enrolled, enroll, pictures, store):
    enrolled("ann")
    with pytest.raises(DuplicatePerson) as refusal:
        enroll(pictures.of("ann", 0.8), Enrolment("Eve"))
    assert [(one.person_id, round(one.similarity, 3)) for one in refusal.value.lookalikes] == [("ann", 0.8)]
    with store.read() as uow:
        assert uow.people.count() == 1


def test_below_the_1_to_k_threshold_nobody_is_a_duplicate(enrolled, enroll, pictures):
    enrolled("ann")
    assert enroll(pictures.of("ann", 0.59), Enrolment("Eve")).duplicates == ()


def test_records_the_duplicates_when_they_are_allowed(enrolled, enroll, pictures, store):
    enrolled("ann")
    done = enroll(pictures.of("ann", 0.8), Enrolment("Ann's twin", on_duplicate="allow"))
    assert [one.person_id for one in done.duplicates] == ["ann"]
    with store.read() as uow:
        assert uow.people.count() == 2


def test_somebody_who_opted_out_is_no_duplicate(enrolled, enroll, pictures, change):
    change(enrolled("ann"), face_opt_out=True)
    assert enroll(pictures.of("ann"), Enrolment("Ann again")).duplicates == ()


def test_somebody_who_was_deactivated_cannot_be_enrolled_anew(enrolled, enroll, pictures, store, change):
    change(enrolled("ann"), active=False)
    with pytest.raises(DuplicatePerson) as refusal:
        enroll(pictures.of("ann"), Enrolment("Eve"))
    assert [one.person_id for one in refusal.value.lookalikes] == ["ann"]
    with store.read() as uow:
        assert uow.people.count() == 1


def test_what_is_stored_is_answered_though_the_index_cannot_follow(enroll, pictures, store, gallery, lagging, reports):
    enroll = dataclasses.replace(enroll, gallery=lagging(1), report=reports.append)
    done = enroll(pictures.of("ann"), Enrolment("Ann"))
    assert reports == ["the index could not follow a change that is stored: RuntimeError"]
    with store.read() as uow:
        assert done.index_seq == uow.changes.head() == 1
        assert uow.people.get(done.person.id) == done.person
    assert gallery.catch_up() == 1
    assert gallery.holds_any([done.template.id])


def test_a_dry_run_says_what_would_happen_and_stores_nothing(enroll, pictures, store, gallery):
    done = enroll(pictures.of("ann"), Enrolment("Ann", dry_run=True))
    assert (done.person.name, done.template) == ("Ann", None)
    assert nothing_stored(store)
    assert gallery.size() == (0, 0)


def test_a_dry_run_is_refused_like_the_real_thing(enrolled, enroll, pictures):
    enrolled("ann")
    with pytest.raises(DuplicatePerson):
        enroll(pictures.of("ann"), Enrolment("Eve", dry_run=True))


def test_refuses_a_picture_without_a_face(enroll, pictures, store):
    with pytest.raises(NoFace):
        enroll(pictures.show(), Enrolment("Ann"))
    assert nothing_stored(store)


def test_refuses_a_picture_of_two_and_says_where_they_are(enroll, pictures, store):
    with pytest.raises(SeveralFaces) as refusal:
        enroll(pictures.show(pictures.face("ann"), pictures.face("bob")), Enrolment("Ann"))
    assert len(refusal.value.boxes) == 2
    assert nothing_stored(store)


def test_refuses_a_poor_face_and_says_how_to_do_better(enroll, pictures, store):
    with pytest.raises(PoorQuality) as refusal:
        enroll(pictures.of("ann", quality=0.2), Enrolment("Ann"))
    assert [(r.reason, "focus" in r.advice) for r in refusal.value.reasons] == [("blurred", True)]
    assert nothing_stored(store)


@pytest.mark.parametrize("quality", [float("nan"), 0.349])
def test_refuses_a_quality_that_is_not_enough(enroll, pictures, quality):
    with pytest.raises(PoorQuality):
        enroll(pictures.of("ann", quality=quality), Enrolment("Ann"))


@pytest.mark.parametrize("factor", [math.nan, math.inf, 0.0, 3.0, 1.002, 0.998])
def test_refuses_a_vector_that_is_not_finite_or_not_of_unit_length(enroll, pictures, store, stretched, factor):
    with pytest.raises(PoorQuality):
        enroll(stretched(pictures.of("ann"), factor), Enrolment("Ann"))
    assert nothing_stored(store)


def test_refuses_bytes_that_are_no_picture(enroll, store):
    with pytest.raises(UnreadableImage):
        enroll(b"not a picture", Enrolment("Ann"))
    assert nothing_stored(store)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "   "}),
        ("name", {"name": "x" * 201}),
        ("name", {"name": "An\0n"}),
        ("name", {"name": "An\nn"}),
        ("name", {"name": "An\ud800n"}),
        ("name", {"name": "An\u202en"}),
        ("person_id", {"person_id": ""}),
        ("person_id", {"person_id": "../etc"}),
        ("person_id", {"person_id": "a/b"}),
        ("person_id", {"person_id": "x" * 101}),
        ("person_id", {"person_id": "era_01"}),
        ("external_id", {"external_id": "\0"}),
        ("metadata", {"metadata": {"x": "y" * 4096}}),
        ("metadata", {"metadata": {"x": "\0"}}),
        ("metadata", {"metadata": {"x": float("nan")}}),
        ("metadata", {"metadata": {"x": ["\ud800"]}}),
        ("groups", {"groups": tuple(map(str, range(51)))}),
        ("groups", {"groups": ("",)}),
        ("consent", {"consent": "x" * 2001}),
        ("valid_from", {"valid_from": datetime(2030, 1, 1)}),  # noqa: DTZ001 - the missing zone is the test
        ("valid_from", {"valid_from": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))}),
        (
            "valid_until",
            {"valid_from": datetime(2030, 1, 2, tzinfo=UTC), "valid_until": datetime(2030, 1, 2, tzinfo=UTC)},
        ),
    ],
)
def test_refuses_a_field_that_is_not_allowed_before_it_reads_the_picture(enroll, pictures, reader, store, field, said):
    with pytest.raises(InvalidField) as refusal:
        enroll(pictures.of("ann"), Enrolment(**{"name": "Ann", **said}))
    assert refusal.value.field == field
    assert reader.asked == []
    assert nothing_stored(store)


def test_refuses_metadata_that_is_too_deep(enroll, pictures):
    deep: dict = {}
    for _ in range(5000):
        deep = {"x": deep}
    with pytest.raises(InvalidField, match="levels"):
        enroll(pictures.of("ann"), Enrolment("Ann", metadata=deep))


def test_refuses_a_gallery_that_does_not_exist(enroll, pictures, store):
    with pytest.raises(UnknownGallery):
        enroll(pictures.of("ann"), Enrolment("Ann", galleries=("all", "lab")))
    assert nothing_stored(store)


def test_a_dry_run_and_a_refusal_are_noted_for_each_who_was_found(enroll, enrolled, pictures, clock):
    enrolled("ann")
    enrolled("bob", image=pictures.of("ann", 0.9))
    trail = Notes()
    enroll = dataclasses.replace(enroll, trail=trail)
    enroll(pictures.of("cid"), Enrolment("Cid", dry_run=True))
    enroll(pictures.of("ann"), Enrolment("Eve", dry_run=True, on_duplicate="allow"))
    with pytest.raises(DuplicatePerson):
        enroll(pictures.of("ann"), Enrolment("Eve"))
    told = [(one.outcome, one.person_id, one.facts["duplicates"]) for one in trail.noted]
    assert told == [
        ("dry_run", None, 0),
        *((outcome, who, 2) for outcome in ("dry_run", "duplicate") for who in ("ann", "bob")),
    ]
    assert {one.action for one in trail.noted} == {"face.looked_for"}
    assert [round(one.private["similarity"], 3) for one in trail.noted[1:]] == [1.0, 0.9, 1.0, 0.9]
    assert not any(one.seen or "similarity" in one.facts for one in trail.noted)


def test_what_is_stored_is_noted_by_its_own_row_only(enroll, enrolled, pictures):
    enrolled("ann")
    trail = Notes()
    dataclasses.replace(enroll, trail=trail)(pictures.of("ann"), Enrolment("Eve", on_duplicate="allow"))
    assert trail.noted == []


def test_a_crop_is_kept_only_where_that_was_asked_for(enroll, pictures, store):
    enroll(pictures.of("ann"), Enrolment("Ann", "ann"))
    with store.read() as uow:
        assert uow.crops.count() == 0
    image = pictures.of("bob")
    (face,) = pictures._reader.readings[image]
    enrolled = dataclasses.replace(enroll, keep_crops=True)(image, Enrolment("Bob", "bob"))
    with store.read() as uow:
        np.testing.assert_array_equal(uow.crops.of("bob")[enrolled.template.id], face.crop)
