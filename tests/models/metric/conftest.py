import numpy as np
import pytest
import torch


@pytest.fixture
def embeddings():
    """(count, seed) -> float64 (count, 128), rows of unit length, that a gradient flows to."""

    def make(count: int, seed: int = 3) -> torch.Tensor:
        rows = np.random.default_rng(seed).standard_normal((count, 128))
        return torch.tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True), requires_grad=True)

    return make


@pytest.fixture
def person():
    """Whose each of twelve photos is: four people, of three, four, four and one."""
    return torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3])
