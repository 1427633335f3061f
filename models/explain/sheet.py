"""Units on one sheet: a row a unit, with what was made to excite it, and the patches of pictures that do."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from models.image import Pixels

TILE_PX, GAP_PX, CAPTION_PX, HEADER_PX = 72, 4, 128, 22
STEP_PX = TILE_PX + GAP_PX
TEXT, FAINT, EMPTY = "#111111", "#777777", "#eeeeee"


@dataclass(frozen=True)
class Row:
    """One unit. peak: its strongest activation; made: uint8 (reach, reach, 3); patches: the same, strongest first."""

    layer: str
    unit: int
    peak: float
    made: Pixels = field(repr=False)
    patches: Sequence[Pixels] = field(repr=False)


@dataclass(frozen=True)
class Compared:
    """One unit in two pictures. share: of J_style; ratio: how strongly it answers to the render against the style;
    style, render: patches uint8 (reach, reach, 3) of either, strongest first.
    """

    layer: str
    unit: int
    share: float
    ratio: float
    style: Sequence[Pixels] = field(repr=False)
    render: Sequence[Pixels] = field(repr=False)


def draw_units(rows: Sequence[Row], *, columns: int = 9, note: str = "") -> Image.Image:
    """The sheet, RGB; note: a line at its foot. A patch is enlarged by whole pixels where it is small."""
    heads = [("made", 1), ("what excites it most of the pictures, strongest first", columns)]
    lines = [
        _Line(row.layer, row.unit, f"{_sees(row.made)}\npeak {row.peak:.3g}", [[row.made], row.patches]) for row in rows
    ]
    return _drawn(lines, heads, note)


def draw_compared(rows: Sequence[Compared], *, columns: int = 4, note: str = "") -> Image.Image:
    """A sheet, RGB, of what units see in a style and in a render made after it."""
    heads = [("what excites it most of the style", columns), ("and of the render", columns)]
    lines = [
        _Line(
            row.layer,
            row.unit,
            f"{100 * row.share:.3g}% of the cost\n{row.ratio:.2f} times the style's",
            [row.style, row.render],
        )
        for row in rows
    ]
    return _drawn(lines, heads, note)


@dataclass(frozen=True)
class _Line:
    layer: str
    unit: int
    small: str
    groups: Sequence[Sequence[Pixels]]


def _drawn(lines: Sequence[_Line], heads: Sequence[tuple[str, int]], note: str) -> Image.Image:
    begins = [GAP_PX + CAPTION_PX]
    for _, columns in heads:
        begins.append(begins[-1] + columns * STEP_PX + 3 * GAP_PX)
    wide = begins[-1] - 3 * GAP_PX
    high = HEADER_PX + len(lines) * STEP_PX + (HEADER_PX if note else GAP_PX)
    sheet = Image.new("RGB", (wide, high), "white")
    draw = ImageDraw.Draw(sheet)
    small = ImageFont.load_default(11)
    for (text, _), x in zip(heads, begins, strict=False):
        draw.text((x, 4), text, fill=FAINT, font=small)
    for number, line in enumerate(lines):
        y = HEADER_PX + number * STEP_PX
        if number and lines[number - 1].layer != line.layer:
            draw.line((0, y - GAP_PX // 2, wide, y - GAP_PX // 2), fill=FAINT)
        draw.text((GAP_PX, y + 8), f"{line.layer}:{line.unit}", fill=TEXT, font=ImageFont.load_default(13))
        draw.text((GAP_PX, y + 27), line.small, fill=FAINT, font=small)
        for patches, (_, columns), x in zip(line.groups, heads, begins, strict=False):
            _place(sheet, patches, columns, (x, y))
    if note:
        draw.text((GAP_PX, high - HEADER_PX + 4), note, fill=FAINT, font=small)
    return sheet


def _place(sheet: Image.Image, patches: Sequence[Pixels], columns: int, corner: tuple[int, int]) -> None:
    for number in range(columns):
        at = (corner[0] + number * STEP_PX, corner[1])
        tile = _tile(patches[number]) if number < len(patches) else Image.new("RGB", (TILE_PX, TILE_PX), EMPTY)
        sheet.paste(tile, at)


def _sees(patch: Pixels) -> str:
    return f"sees {patch.shape[0]} x {patch.shape[0]} px"


def _tile(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    small = image.width * 4 <= TILE_PX
    return image.resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
