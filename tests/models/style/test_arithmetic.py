from collections.abc import Iterator

import pytest
import torch

from models.style import arithmetic
from models.style.arithmetic import WORTH, fastest


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    fastest.cache_clear()
    yield
    fastest.cache_clear()


def timed(monkeypatch, half, full):
    asked = []

    def seconds(dtype, *_):
        asked.append(dtype)
        return half if dtype == torch.bfloat16 else full

    monkeypatch.setattr(arithmetic, "_seconds", seconds)
    return asked


@pytest.mark.parametrize(
    ("half", "full", "chosen"),
    [(0.1, 1.0, "bfloat16"), (WORTH - 0.01, 1.0, "bfloat16"), (WORTH + 0.01, 1.0, "float32"), (9.0, 1.0, "float32")],
)
def test_half_precision_is_taken_where_it_is_worth_it(monkeypatch, half, full, chosen):
    timed(monkeypatch, half, full)
    assert fastest("cpu") == chosen


def test_a_machine_is_measured_once(monkeypatch):
    asked = timed(monkeypatch, 0.1, 1.0)
    first = fastest("cpu")
    assert len(asked) == 2
    timed(monkeypatch, 9.0, 1.0)
    assert fastest("cpu") == first


def test_an_accelerator_is_not_measured(monkeypatch):
    asked = timed(monkeypatch, 9.0, 1.0)
    assert fastest("cuda") == "bfloat16"
    assert not asked


def test_this_machine_can_be_measured():
    assert fastest("cpu") in ("float32", "bfloat16")
    assert arithmetic._seconds(torch.float32) > 0
