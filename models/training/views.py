"""A batch of faces -> two views of each, one nearly clean and one as a door would see it."""

import numpy as np
import torch
from torch import Tensor

from models.metric.sampling import Ints
from models.training.augment import AUGMENTATIONS, Canvas, cropped
from models.training.dataset import Faces

# Standard deviation, in pixels, by which landmarks are wrong: in a good photo, and where it is hard to see.
CLEAN_JITTER_PX, HARD_JITTER_PX = 0.7, 1.6
# How often a second condition comes on top of the first.
SECOND = 0.35


def views(faces: Faces, batch: Ints, chance: np.random.Generator) -> Tensor:
    """uint8 (2 n, 3, 112, 112): the clean views of the batch, int (n,), then the degraded ones in the same order."""
    clean = [cropped(faces.canvases[i], chance, CLEAN_JITTER_PX) for i in batch]
    hard = [degraded(faces, int(i), chance) for i in batch]
    # (2 n, 3, 112, 112) whose memory is channels-last.
    return torch.from_numpy(np.stack(clean + hard)).permute(0, 3, 1, 2)


def degraded(faces: Faces, number: int, chance: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The crop uint8 (112, 112, 3) of that face under one or two conditions of chance."""
    pixels = faces.canvases[number]
    names = list(AUGMENTATIONS)
    for name in chance.choice(names, 2 if chance.random() < SECOND else 1, replace=False):
        pixels = AUGMENTATIONS[str(name)](Canvas(pixels, faces.points[number], chance))
    return cropped(pixels, chance, HARD_JITTER_PX)
