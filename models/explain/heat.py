"""Heat drawn over the faces that it belongs to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.image import Pixels

SCALE = 3
MARGIN_PX, TEXT_PX = 12, 44
# What speaks for the match, and what speaks against it.
FOR, AGAINST = np.array([255.0, 40.0, 0.0]), np.array([30.0, 80.0, 255.0])
MOST_OPAQUE = 0.75


def heated(crop: Pixels, heat: NDArray[np.float64], full: float) -> Pixels:
    """A face uint8 (H, W, 3) in grey, red where heat (H, W) is above 0 and blue below; `full` and more is opaque."""
    grey = (crop.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))[..., None]
    strength = MOST_OPAQUE * np.clip(np.abs(heat) / full, 0, 1)[..., None] if full > 0 else np.zeros((*heat.shape, 1))
    colour = np.where(heat[..., None] >= 0, FOR, AGAINST)
    mixed: Pixels = ((1 - strength) * grey + strength * colour).round().astype(np.uint8)
    return mixed


def draw_faces(faces: Sequence[tuple[Pixels, NDArray[np.float64]]], caption: str) -> Image.Image:
    """The faces in a row, and under each its heat, all on one scale; the caption below."""
    full = max(float(np.abs(heat).max()) for _, heat in faces)
    high, wide = (SCALE * side for side in faces[0][0].shape[:2])
    size = (len(faces) * (wide + MARGIN_PX) + MARGIN_PX, 2 * (high + MARGIN_PX) + MARGIN_PX + TEXT_PX)
    sheet = Image.new("RGB", size, "white")
    for number, (crop, heat) in enumerate(faces):
        for row, seen in enumerate((crop, heated(crop, heat, full))):
            tile = Image.fromarray(seen).resize((wide, high), Image.Resampling.BICUBIC)
            sheet.paste(tile, (MARGIN_PX + number * (wide + MARGIN_PX), MARGIN_PX + row * (high + MARGIN_PX)))
    place = (MARGIN_PX, 2 * (high + MARGIN_PX) + MARGIN_PX)
    ImageDraw.Draw(sheet).multiline_text(place, caption, fill="black", font=ImageFont.load_default(13))
    return sheet
