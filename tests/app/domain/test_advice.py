import pytest

from app.domain.advice import advise
from models.face.quality import BOUNDS


@pytest.mark.parametrize("reason", BOUNDS)
def test_every_reason_of_the_library_has_advice_of_its_own(reason):
    (said,) = advise((reason,))
    (general,) = advise(("something new",))
    assert said.reason == reason
    assert said.advice != general.advice


def test_a_poor_face_without_a_reason_gets_general_advice():
    (said,) = advise(())
    assert said.advice
