import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.actions.add_template import AddTemplate
from app.actions.enroll import Enrolment
from app.actions.remove_template import RemoveTemplate
from app.errors import DuplicatePerson, Erased, NoFace, NotSamePerson, PoorQuality, UnknownPerson


class Notes:
    """A trail that only remembers."""

    def __init__(self):
        self.noted = []

    def note(self, entry):
        self.noted.append(entry)


@pytest.fixture
def add_template(store, gallery, reader, calibration, clock, identifiers) -> AddTemplate:
    return AddTemplate(store, gallery, reader, calibration, clock, identifiers, 0.35)


def templates_of(store, person_id):
    with store.read() as uow:
        return [template.id for template in uow.templates.of(person_id)]


def test_adds_a_look_that_matches_at_the_1_to_1_point(enrolled, add_template, pictures, store, gallery):
    enrolled("ann")
    added = add_template(pictures.of("ann", 0.5), "ann")
    assert templates_of(store, "ann")[-1] == added.template.id
    assert (gallery.size(), added.index_seq) == ((1, 2), gallery.seq)


def test_refuses_a_face_below_the_1_to_1_point(enrolled, add_template, pictures, store):
    enrolled("ann")
    with pytest.raises(NotSamePerson):
        add_template(pictures.of("ann", 0.49), "ann")
    assert len(templates_of(store, "ann")) == 1


def test_an_override_stores_it_whomever_it_looks_like(enrolled, add_template, pictures, store):
    enrolled("ann")
    enrolled("bob")
    added = add_template(pictures.of("bob"), "ann", override=True)
    assert [one.person_id for one in added.duplicates] == ["bob"]
    assert len(templates_of(store, "ann")) == 2


def test_refuses_a_face_that_is_also_somebody_elses(enrolled, add_template, pictures, store):
    enrolled("ann")
    enrolled("bob")
    image = pictures.of("ann", 0.7, like="bob")
    with pytest.raises(DuplicatePerson) as refusal:
        add_template(image, "ann")
    assert [one.person_id for one in refusal.value.lookalikes] == ["bob"]
    assert len(templates_of(store, "ann")) == 1
    assert add_template(image, "ann", on_duplicate="allow").duplicates == refusal.value.lookalikes


def test_a_person_without_a_template_needs_an_override(enrolled, add_template, pictures, store, gallery, clock):
    enrolled("ann")
    RemoveTemplate(store, gallery, clock)("ann", templates_of(store, "ann")[0])
    with pytest.raises(NotSamePerson, match="override"):
        add_template(pictures.of("ann"), "ann")
    assert add_template(pictures.of("ann"), "ann", override=True).template


@pytest.mark.parametrize(("quality", "faces", "error"), [(0.1, 1, PoorQuality), (0.9, 0, NoFace)])
def test_refuses_what_enrolment_refuses(enrolled, add_template, pictures, quality, faces, error):
    enrolled("ann")
    image = pictures.show(*[pictures.face("ann", quality=quality)] * faces)
    with pytest.raises(error):
        add_template(image, "ann", override=True)


def test_refuses_a_person_who_never_was(add_template, pictures, reader):
    with pytest.raises(UnknownPerson):
        add_template(pictures.of("ann"), "nobody")
    assert reader.asked == []


def test_stores_nothing_of_a_person_who_was_erased_meanwhile(enrolled, add_template, pictures, reader, erase, store):
    enrolled("ann")
    reader.before_reading = lambda: erase("ann")
    with pytest.raises(Erased):
        add_template(pictures.of("ann"), "ann", override=True)
    with store.read() as uow:
        assert uow.templates.count() == 0


def test_a_face_is_not_enrolled_while_it_is_added_to_somebody_else(
    enrolled, add_template, enroll, pictures, meeting, store
):
    enrolled("ann")
    image = pictures.of("ann", 0.55)
    adding, enrolling = (dataclasses.replace(action, gallery=meeting) for action in (add_template, enroll))

    def attempt(action):
        try:
            action()
        except DuplicatePerson:
            return "duplicate"
        return "stored"

    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(attempt, [lambda: adding(image, "ann"), lambda: enrolling(image, Enrolment("Eve"))])
        assert sorted(outcomes) == ["duplicate", "stored"]
    with store.read() as uow:
        assert uow.templates.count() == 2


def test_refuses_a_face_of_somebody_else_who_was_deactivated(enrolled, add_template, pictures, change):
    enrolled("ann")
    change(enrolled("bob"), active=False)
    with pytest.raises(DuplicatePerson):
        add_template(pictures.of("ann", 0.7, like="bob"), "ann")


def test_a_template_is_stored_though_the_index_cannot_follow(enrolled, add_template, pictures, store, lagging, reports):
    enrolled("ann")
    added = dataclasses.replace(add_template, gallery=lagging(1), report=reports.append)(pictures.of("ann"), "ann")
    assert (added.index_seq, len(reports)) == (2, 1)
    assert templates_of(store, "ann")[-1] == added.template.id


def test_another_face_than_the_persons_and_one_that_is_somebody_elses_are_noted(enrolled, add_template, pictures):
    enrolled("ann")
    enrolled("bob")
    trail = Notes()
    add_template = dataclasses.replace(add_template, trail=trail)
    with pytest.raises(NotSamePerson):
        add_template(pictures.of("ann", 0.25), "ann")
    with pytest.raises(DuplicatePerson):
        add_template(pictures.of("ann", 0.7, like="bob"), "ann")
    told = [(one.action, one.outcome, one.person_id, round(one.private["similarity"], 3)) for one in trail.noted]
    assert told == [("face.verified", "no_match", "ann", 0.25), ("face.looked_for", "duplicate", "bob", 0.714)]
    add_template(pictures.of("ann", 0.9), "ann")
    assert len(trail.noted) == 2


def test_the_crop_of_a_further_look_is_kept_where_that_was_asked_for(add_template, enrolled, pictures, store):
    enrolled("ann")
    added = dataclasses.replace(add_template, keep_crops=True)(pictures.of("ann", 0.9), "ann")
    with store.read() as uow:
        assert list(uow.crops.of("ann")) == [added.template.id]
