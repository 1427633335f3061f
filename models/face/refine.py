"""Landmarks of a face -> better ones: the detector looks at the aligned face again, several times, and the mean counts.

What a landmark is off by differs from look to look, and the encoder minds every pixel: 3 pixels of shift in the crop
cost it as many people as a bad photo does. docs/models.md has the figures.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from models.encoder import CROP_PX
from models.face.align import TEMPLATE, align, similarity_transform
from models.face.detect import Face, Network, faces_of
from models.image import Pixels

MARGIN_PX = 16
SIDE_PX = CROP_PX + 2 * MARGIN_PX
# How large the aligned face with its margin is looked at, as it is and mirrored: whole cells of the detector's grid.
LOOKS_PX = (96, 128)
# A look that moves a landmark further than this, in pixels of the crop, saw something else.
MOST_MOVED_PX = 12.0
# Right and left change places in a mirror.
MIRRORED = [1, 0, 2, 4, 3]
Floats = NDArray[np.floating]


def refined(network: Network, picture: Pixels, landmarks: Floats, *, device: str = "cpu") -> NDArray[np.float64]:
    """Landmarks (5, 2) of a face in uint8 (H, W, 3), in its pixels -> float64 (5, 2), the same where no look finds it."""
    there = similarity_transform(landmarks.astype(np.float64), TEMPLATE + MARGIN_PX)
    expected = landmarks @ there[:, :2].T + there[:, 2]
    canvas = torch.from_numpy(align(picture, landmarks, margin=MARGIN_PX).copy())
    canvas = canvas[None].permute(0, 3, 1, 2).to(device).float()
    seen = [points for side in LOOKS_PX for points in _looks(network, canvas, side, expected)]
    if not seen:
        return landmarks.astype(np.float64)
    turn = there[:, :2]
    # A face without extent has no way back; its landmarks stay.
    if abs(np.linalg.det(turn)) < 1e-12:
        return landmarks.astype(np.float64)
    return (np.mean(seen, axis=0) - there[:, 2]) @ np.linalg.inv(turn).T


def _looks(network: Network, canvas: Tensor, side: int, expected: Floats) -> list[Floats]:
    """What is seen of the canvas (1, 3, 144, 144) at that size, as it is and mirrored; landmarks in its pixels."""
    small = nnf.interpolate(canvas, size=(side, side), mode="bilinear", antialias=True)
    both = torch.cat((small, small.flip(3))).contiguous(memory_format=torch.channels_last)
    cells = network(both).cpu().numpy()  # (2, cells, 16)
    found = []
    for mirrored, of_one in enumerate(cells):
        faces = faces_of(of_one, side, side)
        if not faces:
            continue
        points = _nearest(faces, side).landmarks
        points = (points.astype(np.float64) + 0.5) * SIDE_PX / side - 0.5
        if mirrored:
            points = np.stack((SIDE_PX - 1 - points[:, 0], points[:, 1]), 1)[MIRRORED]
        if np.abs(points - expected).max() <= MOST_MOVED_PX:
            found.append(points)
    return found


def _nearest(faces: list[Face], side: int) -> Face:
    """The face whose landmarks are nearest to the middle."""
    return min(faces, key=lambda face: float(np.abs(face.landmarks.mean(0) - side / 2).sum()))
