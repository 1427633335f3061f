"""The pictures that a sheet is drawn of, and the file that it is written to."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.home import photo
from app.cli.plainly import REFUSED, UNUSABLE, shown, told
from app.settings import Settings

if TYPE_CHECKING:
    from models.image import Pixels

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".bmp", ".gif", ".tif", ".tiff")
LEAST_PX = 16


def pictures_of(image: Path) -> list[Path]:
    """The pictures of a folder in order of name, hidden ones passed over; or the one. Raises typer.Exit for none."""
    if not image.is_dir():
        return [image]
    files = sorted(path for path in image.iterdir() if path.suffix.lower() in ENDINGS and path.name[0] != ".")
    if not files:
        raise told(f"{image} holds no pictures: give a folder with JPEG or PNG files in it", UNUSABLE)
    return files


def refuse_unwritable(out: Path, files: Sequence[Path]) -> None:
    """Raises typer.Exit for a sheet that could not be written, or would overwrite what it is drawn of."""
    # Before minutes of work, not after them.
    if out.exists() and any(out.samefile(one) for one in files):
        raise told("--out names one of the pictures itself: give another file", UNUSABLE)
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise told(f"{out.name}: no known format of pictures; end its name in .png or .jpg", UNUSABLE)
    if not out.parent.is_dir():
        raise told(f"{out.parent}: there is no such folder to draw into", UNUSABLE)


def reduced(path: Path, size: int, settings: Settings) -> "Pixels":
    """A picture, uint8 (H, W, 3), its longer side `size` pixels at most; never enlarged."""
    import numpy as np
    from PIL import Image

    from models.image import decode

    pixels = decode(photo(path, settings), max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    picture = Image.fromarray(pixels)
    factor = min(1.0, size / max(picture.size))
    space = (round(picture.width * factor), round(picture.height * factor))
    if min(space) < LEAST_PX:
        raise told(f"{shown(path.name)} is {space[0]} x {space[1]} pixels: {LEAST_PX} are least", REFUSED)
    # Resized as a render's style is: the same figures as it told.
    return np.array(picture if factor == 1 else picture.resize(space, Image.Resampling.LANCZOS))
