"""The whole chain: bytes -> pixels -> faces -> crops -> embeddings."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.face.align import align, middle
from models.face.detect import Face, Network, detect, prominence
from models.face.encode import FaceEncoder, Vectors
from models.face.quality import Quality, assess
from models.face.second_look import look_again
from models.image import Pixels, decode

# No picture of a door shows more; a contact sheet of thousands would take minutes and gigabytes.
MOST_FACES = 64
# A second face with less than this share of the main one's prominence stands in the background: a passer-by, a poster.
BACKGROUND = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face, its quality, and its aligned crop uint8 (144, 144, 3), which is never shown."""

    face: Face
    quality: Quality
    crop: Pixels = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a picture of width x height pixels shows, the main face first; seconds spent in each step."""

    width: int
    height: int
    faces: tuple[FoundFace, ...]
    decode_s: float
    detect_s: float
    align_s: float


class FaceChain:
    """Detector and encoder side by side. Thread-safe; every call runs in the thread that makes it."""

    def __init__(
        self,
        detector: Network,
        encoder: FaceEncoder,
        *,
        device: str = "cpu",
        max_bytes: int = 10 * 2**20,
        max_pixels: int = 50_000_000,
    ) -> None:
        self._detector, self._encoder, self._device = detector, encoder, device
        self._max_bytes, self._max_pixels = max_bytes, max_pixels

    def find(self, image: bytes, *, thorough: bool = False) -> Found:
        """Decodes the picture, finds its faces, and aligns and judges each. Raises the ImageError tree.

        At most 64, the most prominent ones. Unless thorough, those in the background (less than half as prominent as
        the main one) are left out.
        """
        began = time.perf_counter()
        picture = self.decode(image)
        return self.find_in(picture, thorough=thorough, decode_s=time.perf_counter() - began)

    def decode(self, image: bytes) -> Pixels:
        """The picture, uint8 (H, W, 3), under the limits of this chain. Raises the ImageError tree."""
        return decode(image, max_bytes=self._max_bytes, max_pixels=self._max_pixels)

    def find_in(self, picture: Pixels, *, thorough: bool = False, decode_s: float = 0.0) -> Found:
        """What `find` does with a picture uint8 (H, W, 3) that was decoded in so many seconds."""
        decoded = time.perf_counter()
        faces = detect(self._detector, picture, thorough=thorough, device=self._device)
        faces = faces or look_again(self._detector, picture, device=self._device)
        height, width = picture.shape[:2]
        faces = faces[:MOST_FACES]
        if not thorough:
            faces = _foreground(faces, width, height)
        detected = time.perf_counter()
        found = []
        for face in faces:
            crop = align(picture, face.landmarks)
            found.append(FoundFace(face, assess(face, middle(crop), width, height), crop))
        ended = time.perf_counter()
        return Found(width, height, tuple(found), decode_s, detected - decoded, ended - detected)

    def encode(self, crops: Sequence[Pixels]) -> Vectors:
        """Crops uint8 (144, 144, 3) -> float32 (n, 128), rows of unit length."""
        return self._encoder.encode(crops)

    def read(self, image: bytes, *, thorough: bool = False) -> list[tuple[FoundFace, Vectors]]:
        """Every face of one picture with its embedding, float32 (128,), the main one first."""
        faces = self.find(image, thorough=thorough).faces
        return list(zip(faces, self.encode([f.crop for f in faces]), strict=True))


def _foreground(faces: list[Face], width: int, height: int) -> list[Face]:
    least = BACKGROUND * prominence(faces[0], width, height) if faces else 0.0
    return [face for face in faces if prominence(face, width, height) >= least]
