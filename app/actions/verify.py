"""1:1: whether a face is that person, or the face in that other picture."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.actions import entries
from app.actions.people import found
from app.actions.sight import embedding, main_face, only_face
from app.actions.timings import Timings
from app.actions.trail import NO_TRAIL
from app.domain import decision
from app.domain.decision import Match, NoMatch
from app.domain.face import Face, Reading, Vector
from app.domain.gallery import Within
from app.domain.model import ModelChanged, in_one_model
from app.domain.operating_point import Calibration, OperatingPoint
from app.domain.person import Person, Template
from app.ports import Clock, FaceReader, Gallery, Hit, Store, Trail, UnitOfWork


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verification is asked for; None: the default of the service."""

    target_fmr: float | None = None
    accept_extrapolated: bool = False
    min_quality: float | None = None
    faces: Literal["single", "largest"] = "single"


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer; `person_id` is the claimed one, or None where two pictures were compared.

    probability: that both are one person, where half of all comparisons are rightful; None where nothing was compared,
    or the calibration does not say.
    """

    answer: Match | NoMatch
    point: OperatingPoint
    faces: tuple[Face, ...]
    person_id: str | None
    index_seq: int
    timings: Timings
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class VerifyPerson:
    """A picture against the best of the claimed person's templates.

    Raises UnknownPerson, Erased, NoFace, SeveralFaces, UnsupportedTarget, and what the reader raises. Read-only.
    """

    store: Store
    gallery: Gallery
    reader: FaceReader
    calibration: Calibration
    clock: Clock
    quality_floor: float
    trail: Trail = NO_TRAIL

    def __call__(self, image: bytes, person_id: str, asked: Asked, *, within: Within = None) -> Verified:
        """Decides at the point that was asked for. within: the galleries that the caller is bound to."""
        return in_one_model(lambda: self._verify(image, person_id, asked, within))

    def _verify(self, image: bytes, person_id: str, asked: Asked, within: Within) -> Verified:
        """Raises ModelChanged where a cut-over came between."""
        began = time.perf_counter()
        point = self.calibration.for_verification(asked.target_fmr, accept_extrapolated=asked.accept_extrapolated)
        with self.store.read() as uow:
            found(uow, person_id, within)
        reading = self.reader.read(image, encode="main")
        if point.model_id != reading.model_id:
            raise ModelChanged
        face = _face(reading, asked)
        seq, searching = self.gallery.catch_up(), time.perf_counter()
        with self.store.read() as uow:
            person = found(uow, person_id, within)
            best = self._best(person, uow.templates.of(person_id), embedding(face), reading.model_id)
            refuse_another_model(uow, best, reading.model_id)
        searched = time.perf_counter()
        answer = decision.verify(
            None if best is None else best.similarity,
            None if best is None else best.template_id,
            point,
            validity=person.validity(self.clock.now()),
            quality=face.quality.score,
            quality_floor=self.quality_floor,
            min_quality=asked.min_quality,
        )
        timings = Timings.of((reading.times,), search_s=searched - searching, total_s=time.perf_counter() - began)
        likely = self.calibration.chance_of_match(answer.similarity)
        if self.calibration.model_id != point.model_id:
            raise ModelChanged
        verified = Verified(answer, point, (face,), person_id, seq, timings, likely)
        self.trail.note(entries.of_verification(verified, self.clock.now()))
        return verified

    def _best(self, person: Person, templates: Sequence[Template], vector: Vector | None, model_id: str) -> Hit | None:
        if vector is None or not person.may_match():
            return None
        return best_of(templates, vector, model_id)


@dataclass(frozen=True, slots=True)
class VerifyPair:
    """Two pictures against each other; raises as VerifyPerson does, apart from persons. Read-only."""

    gallery: Gallery
    reader: FaceReader
    calibration: Calibration
    quality_floor: float
    clock: Clock
    trail: Trail = NO_TRAIL

    def __call__(self, image: bytes, other: bytes, asked: Asked) -> Verified:
        """Decides at the point that was asked for; the worse of the two qualities counts."""
        return in_one_model(lambda: self._verify(image, other, asked))

    def _verify(self, image: bytes, other: bytes, asked: Asked) -> Verified:
        """Raises ModelChanged where a cut-over came between."""
        began = time.perf_counter()
        point = self.calibration.for_verification(asked.target_fmr, accept_extrapolated=asked.accept_extrapolated)
        readings = (self.reader.read(image, encode="main"), self.reader.read(other, encode="main"))
        if {point.model_id} != {reading.model_id for reading in readings}:
            raise ModelChanged
        faces = (_face(readings[0], asked), _face(readings[1], asked, "image2"))
        first, second = (embedding(face) for face in faces)
        answer = decision.verify(
            None if first is None or second is None else closeness(first, second),
            None,
            point,
            # Not `min`, to which a NaN counts only where it comes first.
            quality=float(np.min([face.quality.score for face in faces])),
            quality_floor=self.quality_floor,
            min_quality=asked.min_quality,
        )
        times = tuple(reading.times for reading in readings)
        timings = Timings.of(times, search_s=0.0, total_s=time.perf_counter() - began)
        likely = self.calibration.chance_of_match(answer.similarity)
        if self.calibration.model_id != point.model_id:
            raise ModelChanged
        verified = Verified(answer, point, faces, None, self.gallery.catch_up(), timings, likely)
        self.trail.note(entries.of_verification(verified, self.clock.now()))
        return verified


def refuse_another_model(uow: UnitOfWork, best: Hit | None, model_id: str) -> None:
    """Raises ModelChanged where nothing to compare with was found because another model is served by now.

    After the templates were read: one that was found is of that model, and so of a moment before a cut-over.
    """
    served = uow.models.served() if best is None else None
    if served is not None and served.model_id != model_id:
        raise ModelChanged


def best_of(templates: Sequence[Template], vector: Vector, model_id: str) -> Hit | None:
    """The template of that model closest to float32 (128,), or None; vectors of other models are never compared."""
    hits = [Hit(t.id, closeness(t.vector, vector)) for t in templates if t.model_id == model_id]
    return max((hit for hit in hits if math.isfinite(hit.similarity)), key=lambda hit: hit.similarity, default=None)


def closeness(one: Vector, other: Vector) -> float:
    """The similarity of two float32 (128,) of unit length, in [-1, 1], or NaN where one holds what is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        product = float(np.dot(one, other))
    # An infinity must not be cut down to a perfect match.
    return max(-1.0, min(1.0, product)) if math.isfinite(product) else math.nan


def _face(reading: Reading, asked: Asked, field: str = "image") -> Face:
    return only_face(reading, field) if asked.faces == "single" else main_face(reading, field)
