"""Labelled faces -> a calibration of the home's own, kept for the next start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.audit import Entry
from app.domain.face import Vector
from app.errors import SampleTooSmall
from app.ports import Clock, Store
from models import errors as library
from models.measure.operating_points import Calibration
from models.measure.own import LEAST_PEOPLE, calibrate_own, refuse_too_few
from models.measure.sample import Sample

MADE = "calibration.made"


@dataclass(frozen=True, slots=True)
class Calibrate:
    """Measures thresholds and the likelihood on labelled faces, and keeps them in place of what is shipped.

    model_id: of the model that made the embeddings; keep: writes the home's file, after which every process of this
    home takes it at its next start. Writes one row of the audit trail: counts, and nothing of anybody.
    """

    store: Store
    model_id: str
    keep: Callable[[Calibration], object]
    clock: Clock

    @staticmethod
    def refuse_too_few(photos_each: Sequence[int]) -> None:
        """Before any photo is read: raises SampleTooSmall where so many photos of each person cannot be enough."""
        try:
            refuse_too_few(list(photos_each))
        except library.SampleTooSmall as e:
            raise SampleTooSmall(e.needed, _sentence(e)) from e

    @staticmethod
    def measured(faces: Sequence[Vector | None], labels: Sequence[str], name: str, model_id: str) -> Calibration:
        """The calibration alone: nothing is kept. Raises SampleTooSmall."""
        if all(face is None for face in faces):
            raise SampleTooSmall(LEAST_PEOPLE, f"No photo shows a face: {LEAST_PEOPLE} people are needed.")
        try:
            return calibrate_own(Sample.of(faces, labels), model_id=model_id, name=name)
        except library.SampleTooSmall as e:
            raise SampleTooSmall(e.needed, _sentence(e)) from e

    def __call__(self, faces: Sequence[Vector | None], labels: Sequence[str], name: str) -> Calibration:
        """faces: the main face of each photo, float32 (128,) of unit length, None where there is none or the photo was
        refused: it counts as missed; labels: who it shows; name: what the sample is called, shown to whoever may see
        the calibration. Raises SampleTooSmall.
        """
        measured = self.measured(faces, labels, name, self.model_id)
        self.keep(measured)
        with self.store.write() as uow:
            uow.audit.append(_noted(measured, self.clock))
            uow.commit()
        return measured


def _noted(measured: Calibration, clock: Clock) -> Entry:
    points = len(measured.verification) + len(measured.identification)
    facts = {"model_id": measured.model_id, "people": measured.sample.people, "points": points}
    return Entry(MADE, clock.now(), facts=facts)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
