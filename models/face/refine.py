"""Crops -> what an encoder sees of them, after a second, closer look at where the landmarks are.

Landmarks found in a whole picture are off by some pixels, each time otherwise, and an encoder minds every one. In the
crop the face has a known size and place: the detector looks again, at the face and at its mirror image, and the mean of
both decides. docs/models.md has the figures.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from models.encoder import INPUT_PX
from models.face.align import CROP_PX, MARGIN_PX, TEMPLATE, align, middle, similarity_transform
from models.face.detect import Face, Network, faces_of
from models.image import Pixels

# How large the crop is looked at: whole cells of the detector's grid.
LOOK_PX = 128
# A look that would move a corner of the input further than this, in pixels of the crop, saw something else.
MOST_MOVED_PX = 20.0
# Right and left change places in a mirror.
MIRRORED = [1, 0, 2, 4, 3]
CORNERS = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * (INPUT_PX - 1) + MARGIN_PX
Floats = NDArray[np.float64]


def refined(detector: Network, crops: Sequence[Pixels], *, device: str = "cpu") -> list[Pixels]:
    """Crops uint8 (144, 144, 3) -> what an encoder sees, uint8 (112, 112, 3), aligned by the closer look.

    The middle of a crop in which no look finds the face where it was.
    """
    seen = landmarks_in(detector, crops, device=device)
    return [
        middle(crop) if points is None else align(crop, points, margin=0)
        for crop, points in zip(crops, seen, strict=True)
    ]


def landmarks_in(detector: Network, crops: Sequence[Pixels], *, device: str = "cpu") -> list[Floats | None]:
    """Landmarks float64 (5, 2) in pixels of each crop uint8 (144, 144, 3); None where no look finds the face."""
    if not crops:
        return []
    batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    small = nnf.interpolate(batch, size=(LOOK_PX, LOOK_PX), mode="bilinear", antialias=True).to(device).float()
    plain, mirrored = (_looks(detector, view) for view in (small, small.flip(3)))
    for points in mirrored:
        if points is not None:
            points[:] = points[MIRRORED]
            points[:, 0] = CROP_PX - 1 - points[:, 0]
    found = []
    for looks in zip(plain, mirrored, strict=True):
        kept = [points for points in looks if points is not None and _in_place(points)]
        found.append(np.mean(kept, axis=0) if kept else None)
    return found


def _looks(detector: Network, views: Tensor) -> list[Floats | None]:
    """Landmarks of the face nearest to the middle of each view (n, 3, 128, 128), in pixels of the crop."""
    cells = detector(views.contiguous(memory_format=torch.channels_last)).cpu().numpy()  # (n, cells, 16)
    looks: list[Floats | None] = []
    for of_one in cells:
        faces = faces_of(of_one, LOOK_PX, LOOK_PX)
        points = min(faces, key=_off_the_middle).landmarks.astype(np.float64) if faces else None
        # Pixels are counted by their centres.
        looks.append(None if points is None else (points + 0.5) * (CROP_PX / LOOK_PX) - 0.5)
    return looks


def _off_the_middle(face: Face) -> float:
    return float(np.abs(face.landmarks.mean(0) - LOOK_PX / 2).sum())


def _in_place(points: Floats) -> bool:
    """Whether to align by these points is to move what the encoder sees by a little."""
    forward = similarity_transform(points, TEMPLATE + MARGIN_PX)
    moved = CORNERS @ forward[:, :2].T + forward[:, 2]
    return float(np.hypot(*(moved - CORNERS).T).max()) <= MOST_MOVED_PX
