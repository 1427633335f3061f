"""What a door does to a picture: the conditions that every encoder is tested under.

They are for measuring alone, and none of them is trained on: `models/training/augment.py` makes other ones. What they
do and how hard was fixed before the first training; a number changed here changes all figures of docs/models.md.
Each takes a whole picture, before any face is looked for, so that a face that is not found counts as a miss.
"""

import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from models.image import Pixels

Floats = NDArray[np.float64]
# Where the five landmarks of the face lie in the clean picture, float (5, 2) in pixels: right eye, left eye, nose,
# right and left corner of the mouth, as the person has them.
Landmarks = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Scene:
    """A clean picture uint8 (H, W, 3), where its face is, and what chance decides about it."""

    picture: Pixels
    landmarks: Landmarks
    chance: np.random.Generator

    @property
    def eyes_px(self) -> float:
        """Between the eyes."""
        return float(np.linalg.norm(self.landmarks[1] - self.landmarks[0]))

    @property
    def centre(self) -> Floats:
        """The middle of the face, (x, y)."""
        middle: Floats = np.asarray(self.landmarks, np.float64).mean(0)
        return middle


def under(condition: str, picture: Pixels, landmarks: Landmarks, name: str) -> Pixels:
    """The picture under that condition, uint8 (H', W', 3). name: of the photo, from which chance is seeded."""
    seed = [SEED, zlib.crc32(condition.encode()), zlib.crc32(name.encode())]
    return CONDITIONS[condition](Scene(picture, landmarks, np.random.default_rng(seed)))


def dark(scene: Scene) -> Pixels:
    """A corridor at night: few photons a pixel, the noise of the sensor, a blue cast, eight bits of what is left."""
    light = _linear(scene.picture) * np.array([0.8, 0.9, 1.15])
    photons = scene.chance.uniform(24, 40)
    seen = scene.chance.poisson(light * photons) / photons + scene.chance.normal(0, 0.03, light.shape)
    return _picture(0.22 * seen)


def backlight(scene: Scene) -> Pixels:
    """A window behind: the face in its own shadow, the surroundings burnt out, a veil of stray light over all."""
    high, wide = scene.picture.shape[:2]
    y, x = np.mgrid[:high, :wide]
    away = np.hypot((x - scene.centre[0]) / 1.1, (y - scene.centre[1]) / 1.5) / scene.eyes_px
    outside = 1 / (1 + np.exp(-(away - 1.35) / 0.12))
    light = _linear(scene.picture) * (0.20 + 3.5 * outside)[..., None]
    veil = scene.chance.uniform(0.08, 0.14)
    return _picture((1 - veil) * np.minimum(light, 1) + veil + scene.chance.normal(0, 0.012, light.shape))


def motion(scene: Scene) -> Pixels:
    """Walking past: blurred along a straight way of most of an eye's distance."""
    length = scene.eyes_px * scene.chance.uniform(0.24, 0.33)
    angle = scene.chance.uniform(-0.4, 0.4)
    steps = max(2, round(length))
    image = Image.fromarray(scene.picture)
    moved = [
        np.asarray(
            image.transform(
                image.size,
                Image.Transform.AFFINE,
                (1, 0, t * np.cos(angle), 0, 1, t * np.sin(angle)),
                Image.Resampling.BILINEAR,
            ),
            np.float64,
        )
        for t in np.linspace(-length / 2, length / 2, steps)
    ]
    out: Pixels = np.mean(moved, axis=0).round().astype(np.uint8)
    return out


def far(scene: Scene) -> Pixels:
    """At the end of the corridor: ten or eleven pixels between the eyes, of a camera that sharpens what it has."""
    scale = scene.chance.uniform(9.5, 11.0) / scene.eyes_px
    image = Image.fromarray(scene.picture)
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.UnsharpMask(1, 80, 0)))


def squeezed(scene: Scene) -> Pixels:
    """A cheap recorder between camera and service: two thirds of the size, JPEG at quality 11, twice."""
    image = Image.fromarray(scene.picture)
    image = image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BICUBIC)
    for _ in range(2):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=11, subsampling=2)
        image = Image.open(io.BytesIO(out.getvalue())).convert("RGB")
        image = image.resize((image.width - 3, image.height - 3), Image.Resampling.BILINEAR)
    return np.asarray(image)


def mask(scene: Scene) -> Pixels:
    """A surgical mask from the bridge of the nose to below the chin, with folds."""
    right, left, nose, right_mouth, left_mouth = np.asarray(scene.landmarks, np.float64)
    across = left - right
    down = (right_mouth + left_mouth) / 2 - (right + left) / 2
    top = nose - 0.18 * down
    points = [
        right + 0.50 * down - 0.45 * across,
        top - 0.22 * across,
        top + 0.22 * across,
        left + 0.50 * down + 0.45 * across,
        left_mouth + 0.55 * down + 0.25 * across,
        (right_mouth + left_mouth) / 2 + 0.80 * down,
        right_mouth + 0.55 * down - 0.25 * across,
    ]
    image = Image.fromarray(scene.picture)
    draw = ImageDraw.Draw(image)
    colour = (np.array([(170, 200, 215), (225, 225, 225), (40, 42, 48)])[scene.chance.integers(3)]).astype(int)
    draw.polygon([tuple(p) for p in points], fill=tuple(colour.tolist()))
    for fold in (0.45, 0.75, 1.05):
        middle = top + fold * down
        shade = tuple((colour * 0.86).astype(int).tolist())
        width = max(1, round(scene.eyes_px / 28))
        draw.line([tuple(middle - 0.42 * across), tuple(middle + 0.42 * across)], fill=shade, width=width)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(scene.eyes_px / 60)))


def sunglasses(scene: Scene) -> Pixels:
    """Dark glasses with a bridge and temples, and a reflection."""
    right, left = np.asarray(scene.landmarks[:2], np.float64)
    across = left - right
    radius = float(np.linalg.norm(across)) * scene.chance.uniform(0.36, 0.40)
    image = Image.fromarray(scene.picture)
    draw = ImageDraw.Draw(image)
    tone = int(scene.chance.integers(10, 45))
    for eye in (right, left):
        box = (eye[0] - radius, eye[1] - 0.72 * radius, eye[0] + radius, eye[1] + 0.82 * radius)
        draw.rounded_rectangle(box, radius / 2, fill=(tone, tone, tone + 4))
        glint = eye + scene.chance.uniform(-0.4, 0.1, 2) * radius
        draw.ellipse((*(glint - radius / 6), *(glint + radius / 6)), fill=(tone + 70,) * 3)
    width = max(1, round(radius / 5))
    draw.line([tuple(right), tuple(left)], fill=(tone,) * 3, width=width)
    draw.line([tuple(right - 0.3 * across), tuple(right - 0.75 * across)], fill=(tone,) * 3, width=width)
    draw.line([tuple(left + 0.3 * across), tuple(left + 0.75 * across)], fill=(tone,) * 3, width=width)
    return np.asarray(image)


def cut(scene: Scene) -> Pixels:
    """Too far to the side: the frame ends just beyond the far eye, or above the mouth."""
    right, left, _, right_mouth, left_mouth = np.asarray(scene.landmarks, np.float64)
    high, wide = scene.picture.shape[:2]
    x0, y0, x1, y1 = 0, 0, wide, high
    match int(scene.chance.integers(3)):
        case 0:
            x0 = max(0, int(min(right[0], right_mouth[0]) + 0.19 * scene.eyes_px))
        case 1:
            x1 = min(wide, int(max(left[0], left_mouth[0]) - 0.19 * scene.eyes_px))
        case _:
            y1 = min(high, int(max(right_mouth[1], left_mouth[1]) - 0.24 * scene.eyes_px))
    return np.ascontiguousarray(scene.picture[y0:y1, x0:x1])


def turned(scene: Scene) -> Pixels:
    """A camera far above and to the side: the picture in perspective, and tilted."""
    high, wide = scene.picture.shape[:2]
    lean = scene.chance.choice([-1, 1]) * scene.chance.uniform(0.22, 0.30)
    drop = scene.chance.uniform(0.20, 0.28)
    tilt = scene.chance.uniform(-0.35, 0.35)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    near = 1 + corners[:, 0] * lean + corners[:, 1] * drop
    moved = corners * np.array([0.80, 0.86]) * near[:, None]
    moved = moved @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    size = np.array([wide, high], np.float64) / 2
    way = _homography(moved * size + size, corners * size + size)
    image = Image.fromarray(scene.picture)
    return np.asarray(image.transform(image.size, Image.Transform.PERSPECTIVE, way, Image.Resampling.BICUBIC))


def fogged(scene: Scene) -> Pixels:
    """A lens that was breathed on or touched: out of focus and without contrast."""
    image = Image.fromarray(scene.picture).filter(ImageFilter.GaussianBlur(scene.eyes_px * 0.055))
    light = _linear(np.asarray(image))
    veil = scene.chance.uniform(0.40, 0.50)
    return _picture((1 - veil) * light + veil * 0.55 + scene.chance.normal(0, 0.008, light.shape))


SEED = 20260301
CONDITIONS: Mapping[str, Callable[[Scene], Pixels]] = {
    condition.__name__: condition
    for condition in (dark, backlight, motion, far, squeezed, mask, sunglasses, cut, turned, fogged)
}


def _linear(picture: Pixels) -> Floats:
    """Bytes of sRGB -> light, 0..1 (IEC 61966-2-1)."""
    share = picture.astype(np.float64) / 255
    light: Floats = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return light


def _picture(light: Floats) -> Pixels:
    """Light -> sRGB bytes; what is too bright is cut off."""
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (share * 255).round().astype(np.uint8)


def _homography(source: Floats, target: Floats) -> tuple[float, ...]:
    """The eight coefficients by which Pillow finds the point of `target` (4, 2) that one of `source` comes from."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        wanted += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(wanted)).tolist())
