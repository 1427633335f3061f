"""Looking again where no face was found: with more contrast, without noise, and larger.

Of pictures in the dark, against the light, from afar or through a fogged lens, most faces that the first look misses
are found so; docs/models.md has the figures. The crop for the encoder is still taken from the picture as it came.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from models.face.detect import Face, Network, detect
from models.image import Pixels

# The longest side, in pixels, of what is looked at again, before it is enlarged.
SIDE_PX = 320
ENLARGED = 2
# Darkest and brightest percent of each colour that stretching cuts off.
CUT_PERCENT = 1
NOISE_PX = 3


def look_again(network: Network, picture: Pixels, *, device: str = "cpu") -> list[Face]:
    """The faces of uint8 (H, W, 3) RGB that show once it is made clearer, the main one first, in its own pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    image = Image.fromarray(picture)
    if scale < 1.0:
        image = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BOX)
    size = (image.width * ENLARGED, image.height * ENLARGED)
    back = np.array([width / size[0], height / size[1]], np.float32)
    for clearer in CLEARER:
        seen = clearer(image).resize(size, Image.Resampling.BICUBIC)
        faces = detect(network, np.asarray(seen), device=device)
        if faces:
            return [Face(face.box * np.tile(back, 2), face.landmarks * back, face.score) for face in faces]
    return []


def _stretched(image: Image.Image) -> Image.Image:
    return ImageOps.autocontrast(image, cutoff=CUT_PERCENT)


def _denoised(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.MedianFilter(NOISE_PX))


# The first finds faces in bad light or of few pixels, the second those under the noise of the dark.
CLEARER: tuple[Callable[[Image.Image], Image.Image], ...] = (_stretched, _denoised)
