"""The detector network: the shape of what it says, whatever the size of the picture."""

import pytest
import torch

from models.detector import CELL_VALUES
from models.weights import load_detector


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (320, 192)])
@torch.inference_mode()
def test_says_sixteen_numbers_for_each_cell_of_three_grids(height: int, width: int) -> None:
    cells = load_detector()(torch.zeros(2, 3, height, width))
    assert cells.shape == (2, sum(height * width // stride**2 for stride in (8, 16, 32)), CELL_VALUES)


@torch.inference_mode()
def test_scores_are_probabilities() -> None:
    torch.manual_seed(1)
    scores = load_detector()(torch.rand(1, 3, 128, 128) * 255)[..., :2]
    assert scores.min() >= 0
    assert scores.max() <= 1
