"""Small renders on one sheet, each with its caption."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

GAP = 8
PAPER, INK = (255, 255, 255), (20, 20, 20)
SMALLEST, LARGEST = 9.0, 18.0


def sheet(pictures: Sequence[Image.Image], captions: Sequence[str], columns: int) -> Image.Image:
    """Row by row, so many in each; pictures are of one size, or nearly. A caption is broken where it is too wide."""
    width, height = (max(picture.size[axis] for picture in pictures) for axis in (0, 1))
    size = min(LARGEST, max(SMALLEST, width / 16))
    font = ImageFont.load_default(size)
    lines = [_broken(caption, font, width) for caption in captions]
    line_px = round(1.3 * size)
    cell = (width + GAP, height + GAP + max(map(len, lines)) * line_px)
    rows = -(-len(pictures) // columns)
    made = Image.new("RGB", (min(columns, len(pictures)) * cell[0] + GAP, rows * cell[1] + GAP), PAPER)
    pen = ImageDraw.Draw(made)
    for number, (picture, text) in enumerate(zip(pictures, lines, strict=True)):
        left, top = GAP + number % columns * cell[0], GAP + number // columns * cell[1]
        made.paste(picture, (left, top))
        for row, line in enumerate(text):
            pen.text((left, top + height + 2 + row * line_px), line, fill=INK, font=font)
    return made


def _broken(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
