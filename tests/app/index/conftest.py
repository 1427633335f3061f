"""Unit vectors, and stores with people in them."""

import numpy as np
import pytest

from app.domain.face import Vector


@pytest.fixture
def unit():
    """float32 (128,) of unit length, the same for the same seed; two seeds are almost orthogonal."""

    def make(seed: int) -> Vector:
        vector = np.random.default_rng(seed).normal(size=128)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    return make
