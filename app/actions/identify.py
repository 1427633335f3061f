"""1:K: a picture -> the persons it shows, or nobody we know."""

import time
from dataclasses import dataclass
from typing import Literal

from app.actions import entries
from app.actions.people import known_gallery
from app.actions.ranking import rank
from app.actions.sight import embedding, main_face, only_face
from app.actions.timings import Timings
from app.actions.trail import NO_TRAIL
from app.domain import decision
from app.domain.decision import Candidate, NotRecognized, Recognized
from app.domain.face import Face, Reading
from app.domain.gallery import EVERYBODY, Within
from app.domain.model import ModelChanged, in_one_model
from app.domain.operating_point import Calibration, OperatingPoint
from app.ports import Clock, FaceReader, Gallery, Store, Trail


@dataclass(frozen=True, slots=True)
class Question:
    """What an identification is asked for; None: the default of the service. top_k: candidates to list."""

    gallery: str = EVERYBODY
    target_fpir: float | None = None
    accept_extrapolated: bool = False
    min_quality: float | None = None
    faces: Literal["largest", "single", "all"] = "largest"
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Who one face is; `candidates` are the closest persons, for callers who may see them.

    probability: that the person named is the right one; None where nobody is named, or the calibration does not say.
    """

    face: Face
    decision: Recognized | NotRecognized
    candidates: tuple[Candidate, ...]
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Identified:
    """One answer a face, the main one first; persons and templates are what the gallery held."""

    answers: tuple[Answer, ...]
    point: OperatingPoint
    gallery: str
    persons: int
    templates: int
    index_seq: int
    timings: Timings


@dataclass(frozen=True, slots=True)
class Identify:
    """Finds the persons that a picture shows.

    Raises UnknownGallery, UnsupportedTarget, NoFace, SeveralFaces, and what the reader raises. Read-only.
    """

    store: Store
    gallery: Gallery
    reader: FaceReader
    calibration: Calibration
    clock: Clock
    quality_floor: float
    trail: Trail = NO_TRAIL

    def __call__(self, image: bytes, question: Question, *, within: Within = None) -> Identified:
        """Decides at the point that was asked for, at the gallery's size. within: what the caller is bound to."""
        return in_one_model(lambda: self._identify(image, question, within))

    def _identify(self, image: bytes, question: Question, within: Within) -> Identified:
        """Raises ModelChanged where a cut-over came between."""
        began = time.perf_counter()
        self._refuse_unknown(question, within)
        self._point(
            max(self.gallery.size(question.gallery)), question
        )  # refuses a target that cannot be before the picture is read
        every = question.faces == "all"
        reading = self.reader.read(image, encode="all" if every else "main", thorough=every)
        faces = _faces(reading, question)
        searching = time.perf_counter()
        seq = self.gallery.catch_up()
        self._refuse_unknown(question, within)  # it may have been removed while the picture was read
        persons, templates = self.gallery.size(question.gallery)
        point = self._point(max(persons, templates), question)
        if point.model_id != reading.model_id:
            raise ModelChanged
        answers = tuple(self._answer(face, point, question, max(persons, templates)) for face in faces)
        # The probability, too, was asked of what may have changed since.
        if self.calibration.model_id != reading.model_id:
            raise ModelChanged
        searched = time.perf_counter()
        timings = Timings.of((reading.times,), search_s=searched - searching, total_s=searched - began)
        found = Identified(answers, point, question.gallery, persons, templates, seq, timings)
        for entry in entries.of_identification(found, self.clock.now()):
            self.trail.note(entry)
        return found

    def _refuse_unknown(self, question: Question, within: Within) -> None:
        if question.gallery != EVERYBODY or within is not None:
            with self.store.read() as uow:
                known_gallery(uow, question.gallery, within)

    def _point(self, compared: int, question: Question) -> OperatingPoint:
        return self.calibration.for_identification(
            compared, question.target_fpir, accept_extrapolated=question.accept_extrapolated
        )

    def _answer(self, face: Face, point: OperatingPoint, question: Question, compared: int) -> Answer:
        vector = embedding(face)
        if vector is None:
            return Answer(face, NotRecognized(None, None, "below_threshold"), ())
        # Two at least: the margin needs the second person.
        ranked = rank(
            self.store, self.gallery, vector, max(2, question.top_k), among=question.gallery, model_id=point.model_id
        )
        answer = decision.identify(
            ranked,
            point,
            validity=ranked[0].person.validity(self.clock.now()) if ranked else None,
            quality=face.quality.score,
            quality_floor=self.quality_floor,
            min_quality=question.min_quality,
        )
        likely = None
        if isinstance(answer, Recognized):
            likely = self.calibration.chance_of_person(answer.candidate.similarity, compared)
        return Answer(face, answer, tuple(ranked[: question.top_k]), likely)


def _faces(reading: Reading, question: Question) -> tuple[Face, ...]:
    if question.faces == "single":
        return (only_face(reading),)
    main = main_face(reading)
    return reading.faces if question.faces == "all" else (main,)
