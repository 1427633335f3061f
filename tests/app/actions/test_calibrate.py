import numpy as np
import pytest

from app.actions.calibrate import MADE, Calibrate
from app.errors import SampleTooSmall
from models.measure.own import LEAST_PEOPLE


@pytest.fixture
def kept():
    return []


@pytest.fixture
def calibrate(store, kept, clock):
    return Calibrate(store, "model-a", kept.append, clock)


def faces_of(people, *, blind=0):
    """Two faces of each, the second of the first so many missing; and whose they are."""
    generator = np.random.default_rng(1)
    faces, labels = [], []
    for person in range(people):
        centre = generator.normal(size=32)
        for photo in range(2):
            vector = centre + 0.6 * generator.normal(size=32)
            unit = (vector / np.linalg.norm(vector)).astype(np.float32)
            faces.append(None if photo and person < blind else unit)
            labels.append(f"person {person}")
    return faces, labels


def test_keeps_what_it_measured_and_notes_it_without_telling_of_anybody(calibrate, kept, store):
    measured = calibrate(*faces_of(100), name="our people")
    assert kept == [measured]
    assert (measured.model_id, measured.sample.name, measured.sample.people) == ("model-a", "our people", 100)
    with store.read() as uow:
        line = next(line for line in uow.audit.lines(0, 10) if line.action == MADE)
    points = len(measured.verification) + len(measured.identification)
    assert line.facts == {"model_id": "model-a", "people": 100, "points": points}
    assert "person 0" not in repr(line)


def test_photos_without_a_face_are_missed(calibrate):
    seeing, blind = (calibrate.measured(*faces_of(100, blind=n), "n", "m") for n in (0, 40))
    assert blind.sample.photos_without_face == 40
    assert blind.verification[0].miss >= seeing.verification[0].miss + 0.3


def test_too_few_people_are_refused_and_nothing_is_kept(calibrate, kept, store):
    with pytest.raises(SampleTooSmall, match=f"{LEAST_PEOPLE} are needed") as e:
        calibrate(*faces_of(20), name="n")
    assert e.value.needed == LEAST_PEOPLE
    with pytest.raises(SampleTooSmall, match="No photo shows a face"):
        calibrate([None] * 200, [str(n // 2) for n in range(200)], "n")
    assert kept == []
    with store.read() as uow:
        assert list(uow.audit.lines(0, 10)) == []


def test_too_few_photos_are_refused_before_one_is_read():
    Calibrate.refuse_too_few([2] * LEAST_PEOPLE)
    with pytest.raises(SampleTooSmall):
        Calibrate.refuse_too_few([1] * LEAST_PEOPLE)
