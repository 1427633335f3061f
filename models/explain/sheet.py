"""Units on one sheet: a row a unit, what was made to excite it, and beside that the patches of pictures that do."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from models.image import Pixels

TILE_PX, GAP_PX, CAPTION_PX, HEADER_PX = 72, 4, 128, 22
TEXT, FAINT, EMPTY = "#111111", "#777777", "#eeeeee"


@dataclass(frozen=True)
class Row:
    """One unit. peak: its strongest activation; made: uint8 (reach, reach, 3); patches: the same, strongest first."""

    layer: str
    unit: int
    peak: float
    made: Pixels = field(repr=False)
    patches: Sequence[Pixels] = field(repr=False)


def draw_units(rows: Sequence[Row], *, columns: int = 9, note: str = "") -> Image.Image:
    """The sheet, RGB; note: a line at its foot. A patch is enlarged by whole pixels where it is small."""
    step = TILE_PX + GAP_PX
    wide = GAP_PX + CAPTION_PX + step + 3 * GAP_PX + columns * step
    high = HEADER_PX + len(rows) * step + (HEADER_PX if note else GAP_PX)
    sheet = Image.new("RGB", (wide, high), "white")
    draw = ImageDraw.Draw(sheet)
    plain, small = ImageFont.load_default(13), ImageFont.load_default(11)
    first = GAP_PX + CAPTION_PX
    beside = first + step + 3 * GAP_PX
    draw.text((first, 4), "made", fill=FAINT, font=small)
    draw.text((beside, 4), "what excites it most of the pictures, strongest first", fill=FAINT, font=small)
    for number, row in enumerate(rows):
        y = HEADER_PX + number * step
        if number and rows[number - 1].layer != row.layer:
            draw.line((0, y - GAP_PX // 2, wide, y - GAP_PX // 2), fill=FAINT)
        side = row.made.shape[0]
        draw.text((GAP_PX, y + 8), f"{row.layer}:{row.unit}", fill=TEXT, font=plain)
        draw.text((GAP_PX, y + 27), f"sees {side} x {side} px\npeak {row.peak:.3g}", fill=FAINT, font=small)
        sheet.paste(_tile(row.made), (first, y))
        for place in range(columns):
            at = (beside + place * step, y)
            if place < len(row.patches):
                sheet.paste(_tile(row.patches[place]), at)
            else:
                draw.rectangle((*at, at[0] + TILE_PX - 1, y + TILE_PX - 1), fill=EMPTY)
    if note:
        draw.text((GAP_PX, high - HEADER_PX + 4), note, fill=FAINT, font=small)
    return sheet


def _tile(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    small = image.width * 4 <= TILE_PX
    return image.resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
