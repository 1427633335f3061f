import time

import numpy as np
import pytest

from models.face.throughput import faces_per_second


class Slow:
    """Takes 2 ms a crop, but 0.1 s for the first call."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, crops: list[np.ndarray]) -> None:
        time.sleep(0.1 if not self.batches else 0.002 * len(crops))
        self.batches.append(len(crops))


@pytest.mark.parametrize("batch", [1, 8])
def test_faces_a_second_are_those_of_later_calls(batch: int) -> None:
    slow = Slow()
    speed = faces_per_second(slow, [np.zeros((144, 144, 3), np.uint8)] * 3, batch, trials=5)  # type: ignore[arg-type]
    assert slow.batches == [batch] * 6
    assert 100 < speed <= 500
