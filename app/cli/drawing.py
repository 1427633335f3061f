"""Faces drawn on their picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from app.domain.face import Face
from app.settings import Settings
from models.image import decode

GOOD, POOR = (0, 200, 80), (230, 120, 0)
LANDMARK = (255, 230, 0)


def draw_faces(content: bytes, faces: Sequence[Face], to: Path, settings: Settings) -> None:
    """Writes the upright picture with boxes, landmarks, quality and its reasons; the format is that of the name.

    Raises ValueError for a name of no known format, OSError when the file cannot be written.
    """
    pixels = decode(content, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    line = max(1, round(min(picture.size) / 300))
    font = ImageFont.load_default(max(10.0, min(picture.size) / 40))
    for number, face in enumerate(faces, 1):
        color = GOOD if face.quality.score >= settings.min_enroll_quality else POOR
        pen.rectangle(face.box, outline=color, width=line)
        for x, y in face.landmarks:
            pen.ellipse((x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line), fill=LANDMARK)
        text = f"{number}: {face.quality.score:.2f} {' '.join(face.quality.reasons)}".strip()
        _label(pen, text, face, font, color, picture.size)
    picture.save(to)


def _label(
    pen: ImageDraw.ImageDraw,
    text: str,
    face: Face,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    color: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left, bottom - top
    # Above the box where there is room, else inside it; never beyond the picture's edge.
    x = max(0.0, min(face.box[0], size[0] - width))
    y = face.box[1] - height - 4 if face.box[1] > height + 4 else face.box[1] + 2
    pen.rectangle((x, y, x + width, y + height + 2), fill=(0, 0, 0))
    pen.text((x - left, y - top), text, fill=color, font=font)
