import dataclasses
import math
from datetime import timedelta

import pytest

from app.actions.enroll import Enrolment
from app.actions.identify import Identify, Question
from app.domain.decision import NotRecognized, Recognized
from app.errors import NoFace, SeveralFaces, UnknownGallery, UnsupportedTarget


def only(found):
    (answer,) = found.answers
    return answer.decision


def test_recognizes_who_is_above_the_threshold(enrolled, identify, pictures):
    enrolled("ann")
    enrolled("bob")
    found = identify(pictures.of("ann", 0.8, like="bob"), Question())
    decision = only(found)
    assert isinstance(decision, Recognized)
    assert decision.candidate.person.id == "ann"
    assert decision.margin == pytest.approx(0.8 - 0.6)
    assert (found.persons, found.templates, found.gallery) == (2, 2, "all")


def test_answers_not_recognized_below_the_threshold(enrolled, identify, pictures):
    enrolled("ann")
    decision = only(identify(pictures.of("ann", 0.59), Question()))
    assert isinstance(decision, NotRecognized)
    assert (decision.reason, decision.best, decision.margin) == ("below_threshold", pytest.approx(0.59), None)


def test_answers_empty_gallery_when_nobody_is_enrolled(identify, pictures):
    assert only(identify(pictures.of("ann"), Question())) == NotRecognized(None, None, "empty_gallery")


def test_a_vector_that_is_no_number_is_never_a_match(enrolled, identify, pictures):
    enrolled("ann")
    decision = only(identify(pictures.of("ann", float("nan")), Question(top_k=5)))
    assert decision == NotRecognized(None, None, "below_threshold")


def test_sees_whom_another_process_enrolled_since(enrolled, identify, pictures, store, gallery):
    person = enrolled("ann")
    other = type(gallery)(store, gallery._make_index, gallery.served.model_id)
    found = Identify(store, other, identify.reader, identify.calibration, identify.clock, 0.35)(
        pictures.of("ann"), Question()
    )
    assert only(found).candidate.person == person
    assert found.index_seq == gallery.seq


def test_takes_the_threshold_of_the_gallerys_size(enrolled, identify, pictures):
    for i in range(11):
        enrolled(f"p{i}")
    found = identify(pictures.of("p3", 0.65), Question())
    assert (found.point.threshold, only(found).reason) == (0.7, "below_threshold")


def test_counts_templates_where_they_are_more_than_persons(enrolled, enroll, identify, pictures, store):
    ann = enrolled("ann")
    with store.write() as uow:
        (first,) = uow.templates.of(ann.id)
        for n in range(10):
            uow.templates.add(dataclasses.replace(first, id=f"more-{n}"))
        uow.commit()
    found = identify(pictures.of("ann", 0.65), Question())
    assert (found.persons, found.templates, found.point.gallery_size) == (1, 11, 100)
    assert only(found).reason == "below_threshold"
    bob = Enrolment("Bob", on_duplicate="allow", dry_run=True)
    assert enroll(pictures.of("bob", 0.5, like="ann"), bob).duplicates  # 0.87 to her: above either threshold
    assert not enroll(pictures.of("bob", 0.75, like="ann"), bob).duplicates  # 0.66: above that of ten, not of a hundred


def test_takes_the_point_that_was_asked_for(enrolled, identify, pictures):
    enrolled("ann")
    assert isinstance(only(identify(pictures.of("ann", 0.5), Question(target_fpir=0.1))), Recognized)


def test_refuses_a_target_without_evidence_before_it_reads_the_picture(enrolled, identify, pictures, reader):
    enrolled("ann")
    reader.asked.clear()
    with pytest.raises(UnsupportedTarget):
        identify(pictures.of("ann"), Question(target_fpir=1e-6))
    assert reader.asked == []


def test_refuses_a_gallery_that_does_not_exist(identify, pictures):
    with pytest.raises(UnknownGallery):
        identify(pictures.of("ann"), Question(gallery="lab"))


@pytest.mark.parametrize("fields", [{"active": False}, {"face_opt_out": True}])
def test_asks_for_the_next_person_when_the_first_may_not_match(enrolled, identify, pictures, change, fields):
    change(enrolled("ann"), **fields)
    enrolled("bob")
    found = identify(pictures.of("bob", 0.7, like="ann"), Question(top_k=20))
    assert only(found).candidate.person.id == "bob"
    assert [c.person.id for c in found.answers[0].candidates] == ["bob"]


def test_names_nobody_when_only_a_deactivated_person_fits(enrolled, identify, pictures, change):
    change(enrolled("ann"), active=False)
    decision = only(identify(pictures.of("ann"), Question()))
    assert decision == NotRecognized(None, None, "empty_gallery")


def test_finds_the_one_who_may_match_behind_many_who_may_not(enrolled, identify, pictures, change):
    for i in range(40):
        change(enrolled(f"gone{i:02}", image=pictures.of("ann", 0.95)), active=False)
    enrolled("zoe", image=pictures.of("ann", 0.9))
    assert only(identify(pictures.of("ann"), Question())).candidate.person.id == "zoe"


def test_counts_a_person_once_however_many_templates_there_are(enrolled, identify, pictures, store, enroll):
    enrolled("ann")
    with store.write() as uow:
        (first,) = uow.templates.of("ann")
        for i in range(30):
            uow.templates.add(dataclasses.replace(first, id=f"tpl_more{i:02}"))
        uow.commit()
    enrolled("bob")
    found = identify(pictures.of("ann", 0.8, like="bob"), Question(top_k=5))
    assert [c.person.id for c in found.answers[0].candidates] == ["ann", "bob"]
    assert only(found).margin == pytest.approx(0.2)
    assert (found.persons, found.templates) == (2, 32)


def test_two_equals_are_ambiguous_and_listed_in_order_of_id(enrolled, identify, pictures):
    enrolled("zoe", image=pictures.of("ann"))
    enrolled("amy", image=pictures.of("ann"))
    found = identify(pictures.of("ann"), Question(top_k=2))
    assert only(found).reason == "ambiguous"
    assert [c.person.id for c in found.answers[0].candidates] == ["amy", "zoe"]


@pytest.mark.parametrize(("hours", "reason"), [(-2, "not_yet_valid"), (2, "expired")])
def test_somebody_outside_the_validity_is_not_recognized(enrolled, identify, pictures, clock, hours, reason):
    now = clock.now()
    enrolled("ann", valid_from=now - timedelta(hours=1), valid_until=now + timedelta(hours=1))
    clock.move(hours=hours)
    assert only(identify(pictures.of("ann"), Question())).reason == reason


def test_is_valid_from_the_first_instant_and_expired_at_the_last(enrolled, identify, pictures, clock):
    enrolled("ann", valid_from=clock.now(), valid_until=clock.now() + timedelta(hours=1))
    assert isinstance(only(identify(pictures.of("ann"), Question())), Recognized)
    clock.move(hours=1)
    assert only(identify(pictures.of("ann"), Question())).reason == "expired"


def test_a_stranger_is_told_nothing_of_validity(enrolled, identify, pictures, clock):
    enrolled("ann", valid_until=clock.now() + timedelta(hours=1))
    clock.move(hours=2)
    assert only(identify(pictures.of("ann", 0.5), Question())).reason == "below_threshold"


def test_a_face_below_the_quality_that_was_asked_for_is_refused(enrolled, identify, pictures):
    enrolled("ann")
    decision = only(identify(pictures.of("ann", quality=0.6), Question(min_quality=0.7)))
    assert decision.reason == "poor_quality"


def test_a_poor_face_that_fits_anyway_is_recognized(enrolled, identify, pictures):
    enrolled("ann")
    assert isinstance(only(identify(pictures.of("ann", quality=0.1), Question())), Recognized)
    assert only(identify(pictures.of("ann", 0.3, quality=0.1), Question())).reason == "poor_quality"


def test_drops_somebody_who_was_erased_between_search_and_look_up(enrolled, identify, pictures, store, gallery):
    enrolled("ann")
    enrolled("bob")

    class ErasesInBetween:
        seq = property(lambda self: gallery.seq)
        catch_up, size, holds_any = gallery.catch_up, gallery.size, gallery.holds_any

        def search(self, vector, k, among="all", *, model_id=None):
            hits = gallery.search(vector, k)
            with store.write() as uow:
                if uow.people.get("ann"):
                    uow.people.erase("ann")
                    uow.commit()
            return hits

    found = dataclasses.replace(identify, gallery=ErasesInBetween())(
        pictures.of("ann", 0.75, like="bob"), Question(top_k=5)
    )
    assert [c.person.id for c in found.answers[0].candidates] == ["bob"]
    assert (only(found).candidate.person.id, only(found).margin) == ("bob", None)


def test_goes_on_with_the_main_face_of_several(enrolled, identify, pictures):
    enrolled("ann")
    image = pictures.show(pictures.face("ann"), pictures.face("bob"))
    assert only(identify(image, Question())).candidate.person.id == "ann"


def test_refuses_several_faces_when_one_was_asked_for(identify, pictures):
    with pytest.raises(SeveralFaces):
        identify(pictures.show(pictures.face("ann"), pictures.face("bob")), Question(faces="single"))


def test_answers_for_every_face_and_looks_thoroughly_when_asked(enrolled, identify, pictures, reader):
    enrolled("ann")
    found = identify(pictures.show(pictures.face("bob"), pictures.face("ann")), Question(faces="all"))
    assert [type(a.decision) for a in found.answers] == [NotRecognized, Recognized]
    assert reader.asked[-1] == {"encode": "all", "thorough": True}


@pytest.mark.parametrize("faces", ["largest", "single", "all"])
def test_refuses_a_picture_without_a_face(identify, pictures, faces):
    with pytest.raises(NoFace):
        identify(pictures.show(), Question(faces=faces))


def test_tells_where_the_time_went(identify, pictures):
    timings = identify(pictures.of("ann"), Question()).timings
    assert (timings.queue, timings.decode, timings.detect, timings.align, timings.encode) == (0.1, 1.0, 2.0, 0.5, 3.0)
    assert timings.total > 0
    assert timings.rest >= 0


@pytest.mark.parametrize("factor", [math.nan, math.inf, 0.0, 3.0])
def test_a_vector_that_is_not_finite_or_not_of_unit_length_is_nobody(enrolled, identify, pictures, stretched, factor):
    enrolled("ann")
    (answer,) = identify(stretched(pictures.of("ann"), factor), Question(top_k=3)).answers
    assert (answer.decision, answer.candidates) == (NotRecognized(None, None, "below_threshold"), ())
