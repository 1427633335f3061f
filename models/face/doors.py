"""A photo under every condition of a door, read as the service would read it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.face.reading import FaceChain, FoundFace
from models.image import Pixels
from models.measure.conditions import CONDITIONS, under
from models.measure.doors import CLEAN

TILE_PX, LABEL_PX, COLUMNS = 220, 22, 4
AROUND = 2.6


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a camera would have given, uint8 (H, W, 3), and the faces found in it, the main one first."""

    picture: Pixels = field(repr=False)
    faces: tuple[FoundFace, ...]


def under_conditions(chain: FaceChain, picture: Pixels, name: str) -> dict[str, Seen]:
    """The clean picture, then each condition. name: of the photo, from which chance is seeded.

    The conditions are placed by the landmarks of the main face of the clean picture; where it shows none, none is found
    under any condition either.
    """
    clean = Seen(picture, chain.find_in(picture).faces)
    seen = {CLEAN: clean}
    for condition in CONDITIONS:
        if clean.faces:
            degraded = np.ascontiguousarray(under(condition, picture, clean.faces[0].face.landmarks, name))
            seen[condition] = Seen(degraded, chain.find_in(degraded).faces)
        else:
            seen[condition] = clean
    return seen


def around_the_face(chain: FaceChain, picture: Pixels) -> Pixels:
    """The part of the picture around its main face, some three times as wide; all of it where no face is found."""
    faces = chain.find_in(picture).faces
    if not faces:
        return picture
    (x0, y0), (x1, y1) = faces[0].face.box[:2], faces[0].face.box[2:]
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, AROUND * max(x1 - x0, y1 - y0) / 2
    rows, columns = slice(max(0, int(y - half)), int(y + half)), slice(max(0, int(x - half)), int(x + half))
    return np.ascontiguousarray(picture[rows, columns])


def contact_sheet(seen: dict[str, Seen]) -> Image.Image:
    """All of them side by side, with the main face in a box and what became of it; small ones are enlarged."""
    rows = -(-len(seen) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE_PX, rows * (TILE_PX + LABEL_PX)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (condition, one) in enumerate(seen.items()):
        x, y = number % COLUMNS * TILE_PX, number // COLUMNS * (TILE_PX + LABEL_PX)
        sheet.paste(_tile(one), (x, y + LABEL_PX))
        quality = f"quality {one.faces[0].quality.score:.2f}" if one.faces else "no face found"
        draw.text((x + 4, y + 3), f"{condition}: {quality}", fill="black", font=font)
    return sheet


def _tile(one: Seen) -> Image.Image:
    high, wide = one.picture.shape[:2]
    scale = (TILE_PX - 4) / max(high, wide)
    tile = Image.fromarray(one.picture).resize((max(1, round(wide * scale)), max(1, round(high * scale))))
    if one.faces:
        box: Sequence[float] = (one.faces[0].face.box * scale).tolist()
        ImageDraw.Draw(tile).rectangle(tuple(box), outline=(0, 200, 80), width=2)
    return tile
