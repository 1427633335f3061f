"""A network whose every unit answers to one colour."""

from collections.abc import Callable, Collection

import pytest
import torch
from torch import Tensor

from models.explain.units import Field


class Colours:
    """Fits `Units`: unit c of `sum` is the mean of channel c over the 4 x 4 pixels it sees, every 2, padded by 1."""

    layers = ("sum",)
    fields = {"sum": Field(4, 2, -1)}  # noqa: RUF012
    outside = (10.0, 20.0, 30.0)

    def __call__(self, pictures: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        weight = torch.ones(3, 1, 4, 4) / 16
        return {"sum": torch.nn.functional.conv2d(pictures, weight, stride=2, padding=1, groups=3)}

    def count(self, layer: str) -> int:
        return 3


@pytest.fixture
def colours() -> Callable[[], Colours]:
    """Makes it."""
    return Colours
