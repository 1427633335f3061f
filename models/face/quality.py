"""How usable a face is, and why not: heuristics on the box, the landmarks and the aligned crop.

Not ISO/IEC 29794-5: a score made to refuse an enrolment that would be missed later, and to say what would help. The
bounds were set on LFW so that none of its photos that the encoder can still match is refused; docs/models.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.face.detect import Face
from models.image import Pixels

# A nose tip stands about 0.55 of the distance between the eyes before their plane, and about 0.55 of the way from the
# eyes to the mouth in a frontal view as this detector marks it (the median over LFW, whose people look ahead).
NOSE_DEPTH = 0.55
NOSE_LEVEL = 0.55
EYES_TO_MOUTH = 1.15  # in distances between the eyes
REASON_BELOW = 0.5

# reason -> (value at which the face is useless, value from which it is fine)
BOUNDS = {
    "too_small": (16.0, 56.0),  # width of the face, pixels
    "turned": (75.0, 30.0),  # yaw, degrees either way
    "tilted": (60.0, 25.0),  # pitch, degrees either way
    "rolled": (75.0, 35.0),  # roll, degrees either way
    "blurred": (0.005, 0.035),  # sharpness
    "too_dark": (0.04, 0.18),  # brightness
    "too_bright": (0.98, 0.88),  # brightness
    "cut_off": (0.5, 0.15),  # share of the box outside the picture
    "unclear": (0.5, 0.75),  # detector score
}


@dataclass(frozen=True, slots=True)
class Quality:
    """score 0..1, greater is better; reasons worst first; what was measured.

    size_px: width of the face in pixels; yaw > 0: turned to the person's own left, pitch > 0: looking up, roll > 0:
    head tipped to the person's own left; degrees, good to some ten; sharpness and brightness 0..1; cut_off 0..1: share
    of the box outside the picture.
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


def assess(face: Face, crop: Pixels, width: int, height: int) -> Quality:
    """The quality of a face whose crop has the middle uint8 (112, 112, 3), in a picture of width x height pixels."""
    yaw, pitch, roll = head_pose(face.landmarks)
    grey = crop[16:104, 16:96].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    sharpness, brightness = _sharpness(grey), float(grey.mean()) / 255
    cut_off = _outside(face, width, height)
    parts = {
        "too_small": _ramp("too_small", face.width),
        "turned": _ramp("turned", abs(yaw)),
        "tilted": _ramp("tilted", abs(pitch)),
        "rolled": _ramp("rolled", abs(roll)),
        "blurred": _ramp("blurred", sharpness),
        "too_dark": _ramp("too_dark", brightness),
        "too_bright": _ramp("too_bright", brightness),
        "cut_off": _ramp("cut_off", cut_off),
        "unclear": _ramp("unclear", face.score),
    }
    reasons = tuple(sorted((r for r, part in parts.items() if part < REASON_BELOW), key=lambda r: parts[r]))
    score = float(np.prod(list(parts.values())))
    return Quality(score, reasons, face.width, yaw, pitch, roll, sharpness, brightness, cut_off)


def head_pose(landmarks: NDArray[np.floating]) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees from landmarks (5, 2), taking the head for the mean one; see Quality for signs."""
    right_eye, left_eye, nose, right_mouth, left_mouth = landmarks.astype(np.float64)
    across = left_eye - right_eye
    roll = np.arctan2(across[1], across[0])
    upright = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    eyes, mouth = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2
    to_nose, to_mouth = upright @ (nose - eyes), upright @ (mouth - eyes)
    drop = max(to_mouth[1], 1e-6)
    # The eyes come together in a profile; the way down to the mouth does not.
    span = max(float(np.hypot(*across)), 0.2 * drop, 1e-6)
    yaw = np.arctan2(to_nose[0] / NOSE_DEPTH, span)
    pitch = np.arctan((NOSE_LEVEL - to_nose[1] / drop) * EYES_TO_MOUTH / NOSE_DEPTH)
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def _sharpness(grey: NDArray[np.float32]) -> float:
    """0..1: fine detail (Laplacian) against all detail, so that contrast and light do not count."""
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    fine, all_detail = float(laplacian.std()), float(grey.std())
    return min(1.0, fine / (4 * all_detail)) if all_detail > 1e-3 else 0.0


def _outside(face: Face, width: int, height: int) -> float:
    x0, y0, x1, y1 = (float(v) for v in face.box)
    area = max((x1 - x0) * (y1 - y0), 1e-6)
    inside = max(0.0, min(x1, width) - max(x0, 0.0)) * max(0.0, min(y1, height) - max(y0, 0.0))
    return min(1.0, max(0.0, 1.0 - inside / area))


def _ramp(reason: str, value: float) -> float:
    useless, fine = BOUNDS[reason]
    return min(1.0, max(0.0, (value - useless) / (fine - useless)))
