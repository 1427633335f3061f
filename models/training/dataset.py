"""Folders of identities -> aligned faces to train on, found once and kept.

The file that keeps them holds faces and embeddings: it belongs outside the repository, readable by its owner alone.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ImageError
from models.face.align import MARGIN_PX, TEMPLATE, align, middle, similarity_transform
from models.face.detect import Network, detect
from models.face.encode import FaceEncoder, Vectors
from models.face.refine import landmarks_in
from models.image import Pixels, decode

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST_BYTES, MOST_PIXELS = 20 * 2**20, 50_000_000
# Photos that are read before the progress is told again.
GROUP = 64
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Faces:
    """n faces: canvases uint8 (n, 144, 144, 3), landmarks in them float32 (n, 5, 2), whose each is, and where from.

    teacher: what the encoder that training begins from says of the clean faces, float32 (n, 128), rows of unit length.
    """

    canvases: NDArray[np.uint8] = field(repr=False)
    points: NDArray[np.float32] = field(repr=False)
    identities: tuple[str, ...]
    photos: tuple[str, ...]
    teacher: Vectors = field(repr=False)

    def __len__(self) -> int:
        return len(self.identities)

    def person(self) -> Ints:
        """Numbers of the identities, int (n,), in order of name."""
        return np.unique(np.array(self.identities), return_inverse=True)[1].astype(np.int64)

    def only(self, keep: NDArray[np.bool_]) -> "Faces":
        """Those faces; the canvases are copied."""
        places = np.flatnonzero(keep)
        return Faces(
            self.canvases[places],
            self.points[places],
            tuple(self.identities[i] for i in places),
            tuple(self.photos[i] for i in places),
            self.teacher[places],
        )

    def inputs(self) -> NDArray[np.uint8]:
        """What an encoder sees of the clean faces, uint8 (n, 112, 112, 3), a view."""
        return middle(self.canvases)


def photos_of(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """(identity, photo) of every folder of identities, sorted; a name that two folders share is one person.

    Raises ValueError where there is none.
    """
    found = [
        (person.name, photo)
        for folder in folders
        for person in sorted(folder.iterdir())
        if person.is_dir()
        for photo in sorted(person.iterdir())
        if photo.suffix.lower() in PHOTOS
    ]
    if not found:
        names = ", ".join(str(folder) for folder in folders)
        raise ValueError(f"{names}: no photos; each identity is a folder of its photos ({', '.join(PHOTOS)})")
    return found


def canvas_of(photo: Path, detector: Network, *, refine: bool = True) -> tuple[Pixels, NDArray[np.float32]] | None:
    """The canvas of the main face and the landmarks in it; None where the photo cannot be read or shows no face.

    refine: aligned by a closer look, as weights that ask for it will see it.
    """
    try:
        picture = decode(photo.read_bytes(), max_bytes=MOST_BYTES, max_pixels=MOST_PIXELS)
    except ImageError:
        return None
    faces = detect(detector, picture)
    if not faces:
        return None
    landmarks = faces[0].landmarks.astype(np.float64)
    crop, forward = align(picture, landmarks), similarity_transform(landmarks, TEMPLATE + MARGIN_PX)
    closer = landmarks_in(detector, [crop])[0] if refine else None
    if closer is not None:
        # From the picture once more, not from the crop, which is smoothed and ends with its margin.
        landmarks = (closer - forward[:, 2]) @ np.linalg.inv(forward[:, :2]).T
        crop, forward = align(picture, landmarks), similarity_transform(landmarks, TEMPLATE + MARGIN_PX)
    return crop, (landmarks @ forward[:, :2].T + forward[:, 2]).astype(np.float32)


def load_faces(
    folders: Sequence[Path],
    keep: Path,
    detector: Network,
    teacher: FaceEncoder,
    *,
    refine: bool = True,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Faces:
    """The main face of each photo; a photo that cannot be read or shows none is left out.

    keep: a file that holds what was found, written once the reading is over, and read the next time when the photos are
    the same. refine: as in `canvas_of`. tell: called with (photos done, of how many).
    """
    photos = photos_of(folders)
    sizes = "\n".join(f"{name}/{path}:{path.stat().st_size}" for name, path in photos)
    digest = hashlib.sha256(f"refine={refine}\n{sizes}".encode())
    if keep.exists():
        faces = _kept(keep, digest.hexdigest())
        if faces is not None:
            return faces
    found: list[tuple[str, str, Pixels, NDArray[np.float32]]] = []
    one = lambda photo: canvas_of(photo[1], detector, refine=refine)  # noqa: E731
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for begin in range(0, len(photos), GROUP):
            group = photos[begin : begin + GROUP]
            for (name, path), face in zip(group, pool.map(one, group), strict=True):
                if face is not None:
                    found.append((name, str(path), *face))
            tell(min(begin + GROUP, len(photos)), len(photos))
    if not found:
        raise ValueError("none of the photos shows a face")
    canvases = np.stack([canvas for _, _, canvas, _ in found])
    faces = Faces(
        canvases,
        np.stack([points for _, _, _, points in found]),
        tuple(name for name, _, _, _ in found),
        tuple(path for _, path, _, _ in found),
        teacher.encode_inputs(list(middle(canvases))),
    )
    _save(faces, keep, digest.hexdigest())
    return faces


def _save(faces: Faces, keep: Path, digest: str) -> None:
    keep.parent.mkdir(parents=True, exist_ok=True)
    partial = keep.with_name(f".{keep.name}.part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        np.savez(
            out,
            digest=np.array(digest),
            canvases=faces.canvases,
            points=faces.points,
            identities=np.array(faces.identities, dtype=np.str_),
            photos=np.array(faces.photos, dtype=np.str_),
            teacher=faces.teacher,
        )
    partial.replace(keep)


def _kept(keep: Path, digest: str) -> Faces | None:
    try:
        with keep.open("rb") as archive, np.load(archive, allow_pickle=False) as held:
            if str(held["digest"]) != digest:
                return None
            names, photos = (tuple(str(one) for one in held[key]) for key in ("identities", "photos"))
            return Faces(held["canvases"], held["points"], names, photos, held["teacher"])
    except Exception:  # half a file, or another one: whatever it makes of itself, the faces are found anew
        return None
