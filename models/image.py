"""Bytes -> pixels: the only decoder. An image is hostile until it was decoded under limits.

First frame of JPEG, PNG, WebP, HEIC, BMP, GIF and TIFF; upright by its EXIF orientation; CMYK, palette, 1-bit, 16-bit,
grey and transparent pictures come out as plain RGB, transparency over white.
"""

from io import BytesIO

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.errors import ImageError, TooManyBytes, TooManyPixels, UnreadableImage, UnsupportedMedia

Pixels = NDArray[np.uint8]

pillow_heif.register_heif_opener()
# Pillow's own bomb check warns far above our limit and then decodes: ours refuses before a pixel is read.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "BMP", "GIF", "TIFF")
EXIF_ORIENTATION = 0x0112
MIB = 1024 * 1024


def decode(image: bytes, *, max_bytes: int = 10 * MIB, max_pixels: int = 50_000_000) -> Pixels:
    """The upright picture as uint8 (H, W, 3), RGB, C-contiguous.

    Raises TooManyBytes and TooManyPixels before anything is decoded, UnsupportedMedia for another format, and
    UnreadableImage for what cannot be decoded to its end.
    """
    if len(image) > max_bytes:
        raise TooManyBytes(f"The file has {len(image):,} bytes and the limit is {max_bytes:,}: send a smaller one.")
    if not _looks_like_a_picture(image):
        raise UnsupportedMedia
    try:
        with Image.open(BytesIO(image), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise TooManyPixels(
                    f"The picture has {width} x {height} pixels and the limit is {max_pixels:,}: scale it down first."
                )
            return np.array(_upright_rgb(picture))  # a copy: Pillow's own memory is read-only
    except ImageError:
        raise
    except Exception as e:
        # Decoders of hostile bytes fail in every way there is (struct.error, zlib.error, IndexError, MemoryError ...);
        # all of them mean one thing to the sender. The cause is kept for the log's type name, its text is not shown.
        raise UnreadableImage from e


def _looks_like_a_picture(image: bytes) -> bool:
    head = image[:12]
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a"))
        or head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:8] == b"ftyp"
    )


def _upright_rgb(picture: Image.Image) -> Image.Image:
    picture.load()  # the whole first frame: a file that was cut short fails here
    if picture.getexif().get(EXIF_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith(("I", "F")):
        return _from_deep_grey(picture)
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    return picture.convert("RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImage("The picture holds values that are no numbers: export it as 8-bit.")
    # Float pictures run to 1 or to 255, integer ones to 65535 (or, in a deep file of shallow values, to 255).
    top = values.max(initial=0.0)
    full = 1.0 if top <= 1.0 and picture.mode == "F" else 255.0 if top <= 255.0 else 65535.0
    grey = np.clip(values * (255.0 / full) + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
