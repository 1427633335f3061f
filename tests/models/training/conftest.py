import numpy as np
import pytest

from models.face.align import CROP_PX, MARGIN_PX, TEMPLATE
from models.training.dataset import Faces


@pytest.fixture
def canvas():
    """Smooth colours with an edge, as a photo has them."""
    y, x = np.mgrid[:CROP_PX, :CROP_PX]
    picture = np.stack((x, y, (x + y) // 2), -1).astype(np.uint8)
    picture[40:100, 50:90] = (200, 150, 120)
    return picture


@pytest.fixture
def points():
    return (TEMPLATE + MARGIN_PX).astype(np.float32)


@pytest.fixture
def faces(points):
    """Twelve photos of four people; each person a colour and a pattern of its own."""
    chance = np.random.default_rng(3)
    canvases, names, teacher = [], [], []
    for number in range(4):
        pattern = np.kron(chance.integers(0, 255, (9, 9, 3)), np.ones((16, 16, 1)))
        axis = chance.normal(size=128)
        for _ in range(3):
            canvases.append(np.clip(pattern + chance.normal(0, 10, pattern.shape), 0, 255).astype(np.uint8))
            names.append(f"person {number}")
            vector = axis + chance.normal(0, 0.3, 128)
            teacher.append((vector / np.linalg.norm(vector)).astype(np.float32))
    photos = tuple(f"{i}.jpg" for i in range(12))
    return Faces(np.stack(canvases), np.stack([points] * 12), tuple(names), photos, np.stack(teacher))
