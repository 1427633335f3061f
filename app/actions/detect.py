"""Which faces are in a picture, and how good they are."""

from dataclasses import dataclass

from app.domain.face import Reading
from app.ports import FaceReader


@dataclass(frozen=True, slots=True)
class Detect:
    """Finds every face, small ones too; none is an answer here. Raises what the reader raises. Stores nothing."""

    reader: FaceReader

    def __call__(self, image: bytes) -> Reading:
        """The reading, without embeddings."""
        return self.reader.read(image, encode="none", thorough=True)
