"""How many aligned faces a second an encoder takes on this machine."""

import time
from collections.abc import Sequence

import numpy as np

from models.face.encode import FaceEncoder
from models.image import Pixels

TRIALS = 15
BATCHES = (1, 8)


def faces_per_second(encoder: FaceEncoder, crops: Sequence[Pixels], batch: int, trials: int = TRIALS) -> float:
    """The median over trials of encoding `batch` crops at once, uint8 (144, 144, 3), taken from `crops` in turn.

    One call before the first trial is not counted: it allocates what later ones use again.
    """
    some = [crops[i % len(crops)] for i in range(batch)]
    encoder.encode(some)
    spent = []
    for _ in range(trials):
        begin = time.perf_counter()
        encoder.encode(some)
        spent.append(time.perf_counter() - begin)
    return float(batch / np.median(spent))
