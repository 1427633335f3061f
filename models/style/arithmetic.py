"""In which precision this machine computes convolutions fastest: measured, because no two machines agree."""

import time
from functools import cache

import torch
from torch.nn import functional as F

from models.style.vgg19 import Precision

# A convolution in the middle of VGG-19, small enough that measuring it is not felt.
CHANNELS, SIDE, ROUNDS = 256, 32, 5
# bfloat16 has to be this much faster: it costs a little accuracy.
WORTH = 0.75


@cache
def fastest(device: str = "cpu") -> Precision:
    """bfloat16 where it takes less than WORTH of float32's time, as with AMX or on a GPU; measured once a process."""
    if device != "cpu":
        return "bfloat16"
    return "bfloat16" if _seconds(torch.bfloat16) < WORTH * _seconds(torch.float32) else "float32"


def _seconds(dtype: torch.dtype) -> float:
    make = {"dtype": dtype, "memory_format": torch.channels_last}
    picture = torch.full((1, CHANNELS, SIDE, SIDE), 0.5).to(**make)  # type: ignore[call-overload]
    filters = torch.full((CHANNELS, CHANNELS, 3, 3), 0.01).to(**make)  # type: ignore[call-overload]
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        F.conv2d(picture, filters, padding=1)
        best = min(best, time.perf_counter() - begin)
    return best
