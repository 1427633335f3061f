import numpy as np
import pytest

from app.domain.model import MOST_READINGS, Embedded, ModelChanged, Waiting, in_one_model
from app.errors import NotReady


def test_what_met_another_model_is_done_again_until_it_met_one():
    outcomes = [ModelChanged(), ModelChanged(), "answer"]

    def work():
        outcome = outcomes.pop(0)
        if isinstance(outcome, ModelChanged):
            raise outcome
        return outcome

    assert in_one_model(work) == "answer"
    assert outcomes == []


def test_what_never_ends_is_not_ready():
    tries = []

    def work():
        tries.append(1)
        raise ModelChanged

    with pytest.raises(NotReady):
        in_one_model(work)
    assert len(tries) == MOST_READINGS


def test_neither_crop_nor_vector_is_shown():
    shown = repr((Waiting("t", np.full((144, 144, 3), 77, np.uint8)), Embedded("t", np.full(128, 0.77, np.float32))))
    assert "77" not in shown
