"""The arithmetic is held to the shapes of real convolutions."""

import pytest
import torch
from torch import nn

from models.explain.shapes import convolved, length, parsed, same_padding, written

KINDS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@pytest.mark.parametrize(
    ("volume", "filters", "width", "stride", "expected"),
    [
        ((14, 1), 16, 5, 1, (10, 16)),
        ((10, 16), 32, 5, 1, (6, 32)),
        ((14, 14, 3), 16, 5, 1, (10, 10, 16)),
        ((14, 14, 14, 1), 16, 5, 1, (10, 10, 10, 16)),
        ((32, 32, 32, 16), 32, 3, 1, (30, 30, 30, 32)),
        ((64, 64, 64, 3), 16, 4, 2, (31, 31, 31, 16)),
    ],
)
def test_the_examples_of_the_books_come_out(volume, filters, width, stride, expected) -> None:
    assert convolved(volume, filters=filters, width=width, stride=stride).shape == expected


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize(("width", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (4, 2, 0), (5, 3, 2), (2, 2, 1)])
def test_shape_and_parameters_are_those_of_a_real_convolution(dimensions, width, stride, padding) -> None:
    space = (11, 9, 8)[:dimensions]
    real = KINDS[dimensions](3, 5, width, stride, padding)
    found = convolved((*space, 3), filters=5, width=width, stride=stride, padding=padding)
    with torch.no_grad():
        made = real(torch.zeros(1, 3, *space))
    assert found.shape == (*made.shape[2:], made.shape[1])
    assert found.parameters == sum(one.numel() for one in real.parameters())
    assert found.multiplications == made.numel() * 3 * width**dimensions


def test_a_filter_that_does_not_fit_is_told_with_what_would() -> None:
    with pytest.raises(ValueError, match=r"take a width of at most 4, or a padding of at least 2"):
        convolved((4, 9, 3), filters=1, width=7)
    assert convolved((4, 9, 3), filters=1, width=4).shape == (1, 6, 1)
    assert convolved((4, 9, 3), filters=1, width=7, padding=2).shape == (2, 7, 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"filters": 0}, "filters is 0"), ({"width": 0}, "width is 0"), ({"stride": 0}, "stride"), ({"padding": -1}, "0")],
)
def test_what_no_convolution_has_is_refused(wrong, says) -> None:
    with pytest.raises(ValueError, match=says):
        convolved((8, 8, 3), **{"filters": 1, "width": 3, **wrong})


@pytest.mark.parametrize("text", ["", "64", "64x", "axb", "1x2x3x4x5", "0x3", "-1x3", "²x3"])
def test_a_text_that_is_no_volume_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no volume|numbers|at least 1"):
        parsed(text)


def test_a_volume_reads_as_it_is_written() -> None:
    assert parsed("64X64×3") == (64, 64, 3)
    assert written(parsed("14x1")) == "14x1"


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_padding_of_half_a_width_keeps_the_length(width: int) -> None:
    assert length(9, width=width, padding=same_padding(width)) == 9


def test_no_padding_keeps_the_length_under_an_even_filter() -> None:
    with pytest.raises(ValueError, match="odd width"):
        same_padding(4)
