"""A picture -> one look at one person, with all that is stored of it."""

from dataclasses import dataclass, field

from app.actions.sight import enrollable_face
from app.domain.face import Crop, Face, ReadingTimes, Vector
from app.domain.model import Embedded, ModelChanged, Served
from app.ports import FaceReader, Gallery, UnitOfWork


@dataclass(frozen=True, slots=True)
class Look:
    """A face good enough to be enrolled, its embedding by `model_id`, and what is kept beside that.

    crop: None where none is to be kept; next_id, next_vector: the embedding by a model that is being prepared.
    """

    face: Face
    vector: Vector = field(repr=False)
    model_id: str
    times: ReadingTimes
    crop: Crop | None = field(repr=False)
    next_id: str | None = None
    next_vector: Vector | None = field(default=None, repr=False)

    def keep_beside(self, uow: UnitOfWork, template_id: str, served: Served) -> None:
        """Writes crop and further embedding of that template, in its own transaction.

        served: as of that transaction. Raises ModelChanged where the look is of another model, or lacks what a cut-over
        that is being prepared needs: nobody who is enrolled meanwhile is lost by it.
        """
        if served.model_id != self.model_id or served.next_id not in (None, self.next_id):
            raise ModelChanged
        if self.crop is not None:
            uow.crops.keep(template_id, self.crop)
        if served.next_id is not None and self.next_vector is not None:
            uow.models.embed(served.next_id, [Embedded(template_id, self.next_vector)])


def look_at(image: bytes, reader: FaceReader, gallery: Gallery, least_quality: float, *, keep_crops: bool) -> Look:
    """Reads a picture that must show one person, by the model that is served and the one that is prepared.

    Raises NoFace, SeveralFaces, PoorQuality, NotReady, and what the reader raises.
    """
    reading = reader.read(image, encode="main")
    face, vector = enrollable_face(reading, least_quality)
    next_id, next_vector = gallery.served.next_id, None
    if next_id is not None:
        if face.crop is None:
            raise RuntimeError("the reader gave no crop")
        next_vector = reader.encode([face.crop], next_id)[0]
    crop = face.crop if keep_crops else None
    return Look(face, vector, reading.model_id, reading.times, crop, next_id, next_vector)
