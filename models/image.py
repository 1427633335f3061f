"""Bytes -> pixels, the only decoder; and back. An image is hostile until it was decoded under limits.

First frame of JPEG, PNG, WebP, HEIC, BMP, GIF and TIFF; upright by its EXIF orientation; CMYK, palette, 1-bit, 16-bit,
grey and transparent pictures come out as plain RGB, transparency over white.
"""

import math
from io import BytesIO

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from models.errors import ImageError, TooManyBytes, TooManyPixels, UnreadableImage, UnsupportedMedia

Pixels = NDArray[np.uint8]

pillow_heif.register_heif_opener()
# Pillow's own bomb check warns far above our limit and then decodes: ours refuses before a pixel is read.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "BMP", "GIF", "TIFF")
EXIF_ORIENTATION = 0x0112
TIFF_TILE_SIDES = (322, 323)
# Of what begins like an MP4, the brands that are HEIC stills.
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
LONGEST_SIDE_PX = 32_768
# A progressive JPEG is drawn in some ten scans over all its pixels; a file can name thousands.
MOST_SCANS = 20
BAND_ROWS = 256
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
            _refuse_hidden_work(image, picture, max_pixels)
            return np.array(_upright_rgb(picture))  # a copy: Pillow's own memory is read-only
    except ImageError:
        raise
    except Exception as e:
        # Decoders of hostile bytes fail in every way there is (struct.error, zlib.error, IndexError, MemoryError ...);
        # all of them mean one thing to the sender. The cause is kept for the log's type name, its text is not shown.
        raise UnreadableImage from e


def opacity(image: bytes) -> Pixels | None:
    """The alpha channel of a picture that `decode` takes, uint8 (H, W), upright; None where it has none or is opaque.

    Call `decode` first: it is what refuses. Raises UnreadableImage.
    """
    try:
        with Image.open(BytesIO(image), formats=FORMATS) as picture:
            if not picture.has_transparency_data:
                return None
            upright = ImageOps.exif_transpose(picture)
            alpha = np.array(upright.convert("RGBA").getchannel("A"))
    except Exception as e:  # as in `decode`
        raise UnreadableImage from e
    return None if alpha.min(initial=255) == 255 else alpha


def as_png(pixels: Pixels) -> bytes:
    """uint8 (H, W, 3) RGB -> the same pixels as a PNG file."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _looks_like_a_picture(image: bytes) -> bool:
    head = image[:12]
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a"))
        or head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS)
    )


def _refuse_hidden_work(image: bytes, picture: Image.Image, max_pixels: int) -> None:
    """Refuses small files whose decoding would take minutes or gigabytes, though their pixels are within the limit."""
    width, height = picture.size
    if max(width, height) > LONGEST_SIDE_PX:
        raise TooManyPixels(f"The picture is longer than {LONGEST_SIDE_PX:,} pixels: scale it down first.")
    # Inside compressed data a byte FF is followed by 00, so that this finds the scans and nothing else that is large.
    if picture.format in ("JPEG", "MPO") and image.count(b"\xff\xda") * width * height > MOST_SCANS * max_pixels:
        raise UnreadableImage("The JPEG is drawn in more scans than any camera writes: save it anew.")
    if picture.format == "BMP" and picture.info.get("compression") in (1, 2):
        raise UnsupportedMedia("BMP with run lengths is not read: save it as JPEG or PNG.")
    if isinstance(picture, TiffImageFile):
        tile = math.prod(int(picture.tag_v2.get(tag, 0)) for tag in TIFF_TILE_SIDES)
        if tile > max(4 * width * height, 2**22):
            raise TooManyPixels("The TIFF's tiles are far larger than the picture: save it anew, or as PNG.")


def _upright_rgb(picture: Image.Image) -> Image.Image:
    picture.load()  # the whole first frame: a file that was cut short fails here
    if picture.getexif().get(EXIF_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        return _from_deep_grey(picture)
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        white = Image.new("RGB", above.size, "white")
        white.paste(above, mask=above.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    lowest, top = float(values.min(initial=0)), float(values.max(initial=0))  # a NaN anywhere makes both NaN
    if not (math.isfinite(lowest) and math.isfinite(top)):
        raise UnreadableImage("The picture holds values that are no numbers: export it as 8-bit.")
    # Float pictures run to 1 or to 255, integer ones to 65535 (or, in a deep file of shallow values, to 255).
    full = 1.0 if top <= 1.0 and picture.mode == "F" else 255.0 if top <= 255.0 else 65535.0
    grey = np.empty(values.shape, np.uint8)
    for first in range(0, len(values), BAND_ROWS):  # in bands: the whole as floats would be four times the picture
        band = slice(first, first + BAND_ROWS)
        grey[band] = np.clip(values[band].astype(np.float32) * (255.0 / full) + 0.5, 0, 255)
    return Image.fromarray(grey).convert("RGB")
