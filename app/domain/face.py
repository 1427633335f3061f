"""What was seen in a picture."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Vector = NDArray[np.float32]
# An aligned face, uint8 (144, 144, 3) RGB.
Crop = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Quality:
    """How usable a face is.

    score 0..1, greater is better; reasons: short names of what is wrong, worst first; size_px: width of the face in
    pixels of the upright image; yaw, pitch, roll: degrees, estimated from five landmarks; sharpness, brightness,
    cut_off: 0..1, cut_off being the share of the face outside the picture.
    """

    score: float
    reasons: tuple[str, ...]
    size_px: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    brightness: float
    cut_off: float


@dataclass(frozen=True, slots=True)
class Face:
    """One face: box xyxy and five landmarks (x, y) in pixels of the upright image, detector score 0..1.

    Landmarks in this order: right eye, left eye, nose, right and left corner of the mouth, right and left being the
    person's own. embedding: float32 (128,) of unit length, and crop: the aligned face that it was made of, or None
    where none was asked for; neither is ever shown.
    """

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    score: float
    quality: Quality
    embedding: Vector | None = field(default=None, repr=False, compare=False)
    crop: Crop | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ReadingTimes:
    """Milliseconds that a reading spent in each step; queue: before it was begun."""

    queue: float = 0.0
    decode: float = 0.0
    detect: float = 0.0
    align: float = 0.0
    encode: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A picture read: its upright size in pixels, its faces with the main one first, and the times it took.

    model_id: the model that made the embeddings.
    """

    width: int
    height: int
    faces: tuple[Face, ...]
    times: ReadingTimes = ReadingTimes()
    model_id: str = ""
