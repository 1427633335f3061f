"""What of a face carried a score: a patch is laid over one place after another, and the score is taken again.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2. Theirs watches the
probability of a class; here it is the similarity to another face that is watched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.image import Pixels

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
# Pictures uint8 (H, W, 3) of one size -> rows of unit length; `FaceEncoder.encode_inputs` is one.
Encode = Callable[[Sequence[Pixels]], Vectors]

PATCH_PX, STRIDE_PX = 24, 8


@dataclass(frozen=True, slots=True)
class Occlusion:
    """similarity: of the two faces as they are; heat: float64 (H, W), how much of it is lost, on average, with the
    patches that cover a pixel. Above 0: what lies there speaks for the match; below 0: against it.
    """

    similarity: float
    heat: Floats = field(repr=False)


def occlusion(
    crop: Pixels, other: Vectors, encode: Encode, *, patch_px: int = PATCH_PX, stride_px: int = STRIDE_PX
) -> Occlusion:
    """The map of a face, uint8 (H, W, 3), against another's embedding, float32 (d,) of unit length.

    The patch is a square of the crop's mean colour. All positions are given to `encode` at once. Raises ValueError for
    a patch larger than the crop, or a stride that would leave pixels out.
    """
    high, wide = crop.shape[:2]
    if not 0 < patch_px <= min(high, wide) or not 0 < stride_px <= patch_px:
        raise ValueError(f"a patch of {patch_px} pixels every {stride_px} does not cover a crop of {wide} x {high}")
    places = [(y, x) for y in _starts(high, patch_px, stride_px) for x in _starts(wide, patch_px, stride_px)]
    covered = [_covered(crop, y, x, patch_px) for y, x in places]
    similarities = encode([crop, *covered]).astype(np.float64) @ other.astype(np.float64)
    lost, times = np.zeros((high, wide)), np.zeros((high, wide))
    for (y, x), similarity in zip(places, similarities[1:], strict=True):
        lost[y : y + patch_px, x : x + patch_px] += similarities[0] - similarity
        times[y : y + patch_px, x : x + patch_px] += 1
    return Occlusion(float(similarities[0]), lost / times)


def _starts(length: int, patch: int, stride: int) -> list[int]:
    """Where the patch begins; the last one ends with the crop."""
    return [*range(0, length - patch, stride), length - patch]


def _covered(crop: Pixels, y: int, x: int, patch: int) -> Pixels:
    result = crop.copy()
    result[y : y + patch, x : x + patch] = crop.mean((0, 1)).round()
    return result
