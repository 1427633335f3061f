"""A reading -> the one face that an action goes on with."""

import numpy as np

from app.domain.advice import advise
from app.domain.face import Face, Reading, Vector
from app.errors import NoFace, PoorQuality, SeveralFaces

# How far the length of an embedding may lie from 1: far more than rounding does, far less than an answer needs.
LENGTH_TOLERANCE = 1e-3


def main_face(reading: Reading, field: str = "image") -> Face:
    """The main face. Raises NoFace, which names the field where it is not the first picture."""
    if not reading.faces:
        raise NoFace(None if field == "image" else f"{field}: {NoFace.__doc__}")
    return reading.faces[0]


def only_face(reading: Reading, field: str = "image") -> Face:
    """The face of a picture that must show one person. Raises NoFace, SeveralFaces."""
    face = main_face(reading, field)
    if len(reading.faces) > 1:
        boxes = tuple(other.box for other in reading.faces)
        raise SeveralFaces(boxes, None if field == "image" else f"{field}: {SeveralFaces.__doc__}")
    return face


def enrollable_face(reading: Reading, least_quality: float) -> tuple[Face, Vector]:
    """The one face and its embedding, good enough to be enrolled. Raises NoFace, SeveralFaces, PoorQuality."""
    face = only_face(reading)
    # `not (a >= b)`: a quality that is no number is not good enough either.
    vector = embedding(face)
    if vector is None or not face.quality.score >= least_quality:
        raise PoorQuality(advise(face.quality.reasons))
    return face, vector


def embedding(face: Face) -> Vector | None:
    """The face's vector, float32 (128,) of unit length, or None for one that must not be compared with any other.

    RuntimeError when the reading was not asked to encode it.
    """
    if face.embedding is None:
        raise RuntimeError("the face was not encoded")
    # In float64, where no square of a float32 overflows. `a <= b` is false for NaN and infinity too.
    length = float(np.linalg.norm(face.embedding.astype(np.float64)))
    return face.embedding if abs(length - 1.0) <= LENGTH_TOLERANCE else None
