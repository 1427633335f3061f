import contextlib
import threading
from dataclasses import replace

import numpy as np
import pytest

from app.actions.erase import Erase
from app.actions.identify import Identify
from app.actions.merge import Merge
from app.actions.verify import VerifyPair, VerifyPerson


class Lagging:
    """A gallery that cannot follow what is written after it was asked `works` times."""

    def __init__(self, gallery, works):
        self._gallery, self._works = gallery, works

    def __getattr__(self, name):
        return getattr(self._gallery, name)

    def catch_up(self):
        self._works -= 1
        if self._works < 0:
            raise RuntimeError("broken")
        return self._gallery.catch_up()


class Meeting:
    """A gallery in which two that look for duplicates at the same time meet, if they are let."""

    def __init__(self, gallery):
        self._gallery, self._meeting = gallery, threading.Barrier(2)

    def __getattr__(self, name):
        return getattr(self._gallery, name)

    def search(self, vector, k, among="all", *, model_id=None):
        hits = self._gallery.search(vector, k, model_id=model_id)
        with contextlib.suppress(threading.BrokenBarrierError):
            self._meeting.wait(0.2)
        return hits


@pytest.fixture
def stretched(reader):
    """Makes the face of a picture have a vector that is so many times as long; infinity: one part of it is infinite."""

    def stretch(image, factor):
        (face,) = reader.readings[image]
        vector = face.embedding.copy()
        if np.isfinite(factor):
            vector *= np.float32(factor)
        else:
            vector[vector.argmax()] = factor
        reader.readings[image] = (replace(face, embedding=vector),)
        return image

    return stretch


@pytest.fixture
def lagging(gallery):
    """Makes a gallery that follows only so many times."""
    return lambda works: Lagging(gallery, works)


@pytest.fixture
def meeting(gallery) -> Meeting:
    return Meeting(gallery)


@pytest.fixture
def change(store):
    """Writes some fields of a person to the row."""

    def write(person, **fields):
        with store.write() as uow:
            now = uow.people.get(person.id)
            uow.people.replace(replace(now, revision=now.revision + 1, **fields))
            uow.commit()

    return write


@pytest.fixture
def identify(store, gallery, reader, calibration, clock) -> Identify:
    return Identify(store, gallery, reader, calibration, clock, 0.35)


@pytest.fixture
def verify(store, gallery, reader, calibration, clock) -> VerifyPerson:
    return VerifyPerson(store, gallery, reader, calibration, clock, 0.35)


@pytest.fixture
def verify_pair(gallery, reader, calibration, clock) -> VerifyPair:
    return VerifyPair(gallery, reader, calibration, 0.35, clock)


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def erase(store, gallery, clock, identifiers, reports) -> Erase:
    return Erase(store, gallery, clock, identifiers, reports.append)


@pytest.fixture
def merge(store, gallery, clock, identifiers) -> Merge:
    return Merge(store, gallery, clock, identifiers)
