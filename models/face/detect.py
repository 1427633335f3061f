"""Pixels -> faces: at a bounded size first, and larger only when that does not settle it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from models import weights
from models.detector import CELL_VALUES, STRIDES_PX
from models.face.frozen import frozen
from models.image import Pixels

# The longest side, in pixels, of what the network sees, one pass after the other. docs/models.md has the measurements.
PASSES_PX = (320, 640, 1280)
# A face at least this wide in the pass that found it is settled: a larger pass moves its landmarks no further.
SETTLED_PX = 40.0
LEAST_SCORE = 0.6
MOST_OVERLAP = 0.3
GRID_PX = max(STRIDES_PX)
# No box is larger than e^8 cells: what the network says of noise must not overflow.
LARGEST_LOG = 8.0
# How much a face off the centre counts for less: the weight of its area is exp(-CENTRE_PULL) in a corner.
CENTRE_PULL = 4.0

Network = Callable[[Tensor], Tensor]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face: box xyxy float32 (4,) and landmarks float32 (5, 2) in pixels of the picture, score 0..1.

    Landmarks: right eye, left eye, nose, right and left corner of the mouth, right and left being the person's own. The
    box may reach beyond the picture, where the face does.
    """

    box: Floats
    landmarks: Floats
    score: float

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return float(self.box[2] - self.box[0])

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return float(self.box[3] - self.box[1])


def detect(network: Network, picture: Pixels, *, thorough: bool = False, device: str = "cpu") -> list[Face]:
    """The faces of uint8 (H, W, 3) RGB, the main one first.

    The network sees the picture at most 320 pixels long; when nothing is found, or the main face is small there, at
    640, then at 1280. thorough: always at 640 at least, so that small faces beside a large one are found as well.
    """
    height, width = picture.shape[:2]
    longest = max(height, width)
    faces: list[Face] = []
    for side in PASSES_PX[1 if thorough else 0 :]:
        scale = min(1.0, side / longest)
        # A larger look that finds nothing, as in noise, does not take away what a smaller one found.
        faces = _one_pass(network, picture, scale, device) or faces
        faces.sort(key=lambda face: prominence(face, width, height), reverse=True)
        settled = faces and faces[0].width * scale >= SETTLED_PX
        if settled or side >= longest:
            break
    return faces


def load_detector(device: str = "cpu") -> Network:
    """The shipped detector as one graph on that device. Raises WeightsError."""
    return frozen(weights.load_detector().to(device), torch.zeros((1, 3, 64, 64), device=device))


def prominence(face: Face, width: int, height: int) -> float:
    """How much a picture of width x height is of this face: its area, less the further it lies from the centre."""
    x, y = (face.box[:2] + face.box[2:]) / 2
    away = np.hypot(x - width / 2, y - height / 2) / np.hypot(width / 2, height / 2)  # 0 centre .. 1 corner
    return face.width * face.height * float(np.exp(-CENTRE_PULL * away**2))


def _one_pass(network: Network, picture: Pixels, scale: float, device: str) -> list[Face]:
    height, width = picture.shape[:2]
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    # (1, 3, H, W) whose memory is (H, W, 3): channels-last; a copy only of an array that torch would not take.
    seen = torch.from_numpy(np.require(picture, requirements=("C", "W")))[None].permute(0, 3, 1, 2)
    if scale < 1.0:
        # Five times as fast as Pillow's, on bytes, and smoothed: no pixel of a large picture is skipped.
        seen = nnf.interpolate(seen, size=(high, wide), mode="bilinear", antialias=True)
    # Black to the right and below, up to the grid.
    seen = nnf.pad(seen, (0, -wide % GRID_PX, 0, -high % GRID_PX)).to(device).float()
    cells = network(seen.contiguous(memory_format=torch.channels_last))[0].cpu().numpy()  # (cells, 16)
    faces = faces_of(cells, *seen.shape[2:])
    back = np.array([width / wide, height / high], np.float32)
    return [Face(f.box * np.tile(back, 2), f.landmarks * back, f.score) for f in faces]


def faces_of(cells: Floats, height: int, width: int) -> list[Face]:
    """Decodes the cells of all three grids, and keeps the best of those that overlap."""
    scores = np.sqrt(np.clip(cells[:, 0], 0, 1) * np.clip(cells[:, 1], 0, 1))
    picked = np.flatnonzero(scores >= LEAST_SCORE)
    if not len(picked):
        return []
    x, y, stride = (part[picked] for part in _grid(height, width))
    origin = np.stack((x, y), 1)  # in cells
    values = cells[picked]
    centres = (origin + values[:, 2:4]) * stride[:, None]
    sizes = np.exp(np.minimum(values[:, 4:6], LARGEST_LOG)) * stride[:, None]
    boxes = np.concatenate((centres - sizes / 2, centres + sizes / 2), 1)
    landmarks = (values[:, 6:CELL_VALUES].reshape(-1, 5, 2) + origin[:, None]) * stride[:, None, None]
    kept = _suppress(boxes.astype(np.float32), scores[picked])
    return [Face(boxes[i], landmarks[i], float(scores[picked[i]])) for i in kept]


@functools.lru_cache(maxsize=64)  # a camera sends pictures of one size
def _grid(height: int, width: int) -> tuple[Floats, Floats, Floats]:
    """Column, row and stride of each cell, in the order of the network's output."""
    columns, rows, strides = [], [], []
    for stride in STRIDES_PX:
        row, column = np.mgrid[: height // stride, : width // stride]
        columns.append(column.ravel())
        rows.append(row.ravel())
        strides.append(np.full(row.size, stride))
    x, y, s = (np.concatenate(part).astype(np.float32) for part in (columns, rows, strides))
    return x, y, s


def _suppress(boxes: Floats, scores: Floats) -> list[int]:
    """Greedy non-maximum suppression: indices of the boxes kept, best score first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        corner0 = np.maximum(boxes[best, :2], boxes[order, :2])
        corner1 = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = np.clip(corner1 - corner0, 0, None).prod(1)
        order = order[common <= MOST_OVERLAP * (areas[best] + areas[order] - common)]
    return kept
