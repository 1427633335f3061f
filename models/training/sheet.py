"""A sheet on which every augmentation can be looked at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.face.align import CROP_PX
from models.image import Pixels
from models.training.augment import AUGMENTATIONS, Canvas, cropped

LABEL_PX = 120


def contact_sheet(canvas: Pixels, points: NDArray[np.float32], columns: int, seed: int) -> Image.Image:
    """A row for each augmentation, with `columns` draws of chance; the last row shows crops with wrong landmarks.

    canvas: uint8 (144, 144, 3); points: its landmarks, float (5, 2).
    """
    rows = [*AUGMENTATIONS, "jitter"]
    sheet = Image.new("RGB", (LABEL_PX + columns * CROP_PX, len(rows) * CROP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(rows):
        draw.text((6, row * CROP_PX + CROP_PX // 2), name.replace("_", " "), fill="black")
        for column in range(columns):
            chance = np.random.default_rng([seed, row, column])
            if name == "jitter":
                seen = cropped(canvas, chance, 2.0)
            else:
                seen = AUGMENTATIONS[name](Canvas(canvas, points, chance))
            sheet.paste(Image.fromarray(seen), (LABEL_PX + column * CROP_PX, row * CROP_PX))
    return sheet
