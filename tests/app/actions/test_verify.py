import dataclasses
import math
from datetime import timedelta

import numpy as np
import pytest

from app.actions.verify import Asked, best_of
from app.domain.decision import Match, NoMatch
from app.errors import Erased, NoFace, SeveralFaces, UnknownPerson, UnsupportedTarget


def test_matches_the_claimed_person_by_the_best_template(enrolled, verify, pictures, store):
    enrolled("ann")
    with store.write() as uow:
        (first,) = uow.templates.of("ann")
        uow.templates.add(dataclasses.replace(first, id="tpl_other", vector=pictures.axis("somebody")))
        uow.commit()
    done = verify(pictures.of("ann", 0.55), "ann", Asked())
    assert done.answer == Match(pytest.approx(0.55), first.id)
    assert done.index_seq == 2


def test_does_not_match_below_the_threshold(enrolled, verify, pictures):
    enrolled("ann")
    assert verify(pictures.of("ann", 0.49), "ann", Asked()).answer == NoMatch(pytest.approx(0.49), "below_threshold")


def test_does_not_match_somebody_else(enrolled, verify, pictures):
    enrolled("ann")
    enrolled("bob")
    assert isinstance(verify(pictures.of("bob"), "ann", Asked()).answer, NoMatch)


def test_takes_the_point_that_was_asked_for(enrolled, verify, pictures):
    enrolled("ann")
    assert isinstance(verify(pictures.of("ann", 0.45), "ann", Asked(target_fmr=0.01)).answer, Match)
    extrapolated = verify(pictures.of("ann", 0.89), "ann", Asked(target_fmr=1e-6, accept_extrapolated=True))
    assert (extrapolated.point.support, type(extrapolated.answer)) == ("extrapolated", NoMatch)


def test_refuses_a_target_without_evidence_and_says_the_least(enrolled, verify, pictures):
    enrolled("ann")
    with pytest.raises(UnsupportedTarget) as refusal:
        verify(pictures.of("ann"), "ann", Asked(target_fmr=1e-6))
    assert (refusal.value.kind, refusal.value.least) == ("fmr", 1e-3)


def test_a_nan_is_never_a_match(enrolled, verify, verify_pair, pictures):
    enrolled("ann")
    nan = pictures.of("ann", float("nan"))
    assert verify(nan, "ann", Asked()).answer == NoMatch(None, "below_threshold")
    assert isinstance(verify_pair(nan, pictures.of("ann"), Asked()).answer, NoMatch)


@pytest.mark.parametrize("fields", [{"active": False}, {"face_opt_out": True}])
def test_somebody_who_may_not_match_is_not_even_compared(enrolled, verify, pictures, change, fields):
    change(enrolled("ann"), **fields)
    assert verify(pictures.of("ann"), "ann", Asked()).answer == NoMatch(None, "below_threshold")


def test_never_compares_vectors_of_another_model(enrolled, verify, pictures, store):
    enrolled("ann")
    with store.write() as uow:
        (first,) = uow.templates.of("ann")
        uow.templates.add(
            dataclasses.replace(first, id="tpl_old", model_id="model-b", vector=pictures.axis("new look"))
        )
        uow.commit()
    assert isinstance(verify(pictures.of("new look"), "ann", Asked()).answer, NoMatch)


@pytest.mark.parametrize(("hours", "reason"), [(-2, "not_yet_valid"), (2, "expired")])
def test_somebody_outside_the_validity_does_not_match(enrolled, verify, pictures, clock, hours, reason):
    now = clock.now()
    enrolled("ann", valid_from=now - timedelta(hours=1), valid_until=now + timedelta(hours=1))
    clock.move(hours=hours)
    assert verify(pictures.of("ann"), "ann", Asked()).answer.reason == reason


def test_a_face_below_the_quality_that_was_asked_for_does_not_match(enrolled, verify, pictures):
    enrolled("ann")
    answer = verify(pictures.of("ann", quality=0.6), "ann", Asked(min_quality=0.7)).answer
    assert answer.reason == "poor_quality"


def test_refuses_a_person_who_never_was_before_it_reads_the_picture(verify, pictures, reader):
    with pytest.raises(UnknownPerson):
        verify(pictures.of("ann"), "nobody", Asked())
    assert reader.asked == []


def test_refuses_a_person_who_was_erased_while_the_picture_was_read(enrolled, verify, pictures, reader, erase):
    enrolled("ann")
    reader.before_reading = lambda: erase("ann")
    with pytest.raises(Erased):
        verify(pictures.of("ann"), "ann", Asked())


def test_refuses_two_faces_unless_the_largest_will_do(enrolled, verify, pictures):
    enrolled("ann")
    both = pictures.show(pictures.face("ann"), pictures.face("bob"))
    with pytest.raises(SeveralFaces):
        verify(both, "ann", Asked())
    assert isinstance(verify(both, "ann", Asked(faces="largest")).answer, Match)


def test_compares_two_pictures(verify_pair, pictures):
    done = verify_pair(pictures.of("ann"), pictures.of("ann", 0.8), Asked())
    assert done.answer == Match(pytest.approx(0.8), None)
    assert (done.person_id, len(done.faces), done.timings.encode) == (None, 2, 6.0)


def test_the_worse_quality_of_two_pictures_counts(verify_pair, pictures):
    done = verify_pair(pictures.of("ann"), pictures.of("ann", quality=0.5), Asked(min_quality=0.6))
    assert done.answer.reason == "poor_quality"


def test_names_the_picture_that_shows_nobody(verify_pair, pictures):
    with pytest.raises(NoFace, match=r"^image2: "):
        verify_pair(pictures.of("ann"), pictures.show(), Asked())


def test_rounding_never_makes_a_similarity_above_one(verify_pair, pictures, reader):
    image = pictures.of("ann")
    (face,) = reader.readings[image]
    reader.readings[image] = (dataclasses.replace(face, embedding=face.embedding * np.float32(1.0001)),)
    assert verify_pair(image, image, Asked()).answer.similarity == 1.0


@pytest.mark.parametrize("factor", [math.nan, math.inf, 0.0, 3.0, 1.002])
def test_a_vector_that_is_not_finite_or_not_of_unit_length_is_never_a_match(
    enrolled, verify, verify_pair, pictures, stretched, factor
):
    enrolled("ann")
    image = stretched(pictures.of("ann"), factor)
    no_match = NoMatch(None, "below_threshold")
    assert verify(image, "ann", Asked()).answer == no_match
    assert verify_pair(image, pictures.of("ann"), Asked()).answer == no_match
    assert verify_pair(pictures.of("ann"), image, Asked()).answer == no_match


@pytest.mark.parametrize("part", [math.inf, -math.inf, math.nan])
def test_a_stored_vector_that_is_not_finite_is_never_the_best(enrolled, pictures, store, part):
    enrolled("ann")
    with store.read() as uow:
        (sound,) = uow.templates.of("ann")
    broken = dataclasses.replace(sound, id="tpl_broken", vector=sound.vector * np.float32(1) + np.float32(part))
    assert best_of([broken], sound.vector, sound.model_id) is None
    assert best_of([broken, sound], sound.vector, sound.model_id).template_id == sound.id


@pytest.mark.parametrize("qualities", [(math.nan, 0.9), (0.9, math.nan)])
def test_a_quality_that_is_no_number_is_poor_in_either_picture(verify_pair, pictures, qualities):
    images = [pictures.of("ann", quality=quality) for quality in qualities]
    assert verify_pair(*images, Asked(min_quality=0.1)).answer.reason == "poor_quality"
