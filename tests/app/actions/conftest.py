from dataclasses import replace

import pytest

from app.actions.erase import Erase
from app.actions.identify import Identify
from app.actions.verify import VerifyPair, VerifyPerson


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
def verify_pair(gallery, reader, calibration) -> VerifyPair:
    return VerifyPair(gallery, reader, calibration, 0.35)


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def erase(store, gallery, clock, identifiers, reports) -> Erase:
    return Erase(store, gallery, clock, identifiers, reports.append)
