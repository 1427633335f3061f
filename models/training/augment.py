"""What a door does to a face, for training: each function takes a canvas and gives one back.

A canvas is the crop of a face, with its margin, uint8 (144, 144, 3). The conditions that
models are tested under, models/measure/conditions.py, are other ones on purpose: other families, or other parameters.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from models.encoder import INPUT_PX
from models.face.align import CROP_PX, MARGIN_PX, TEMPLATE, similarity_transform
from models.image import Pixels

EYES_PX = float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
Floats = NDArray[np.float32]
_RESIZERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class Canvas:
    """An aligned face, its landmarks float (5, 2) in pixels of the canvas, and chance."""

    pixels: Pixels
    points: Floats
    chance: np.random.Generator


def low_light(face: Canvas) -> Pixels:
    """Darkened by a curve, with the grain of brightness and the blotches of colour that amplifiers make."""
    chance = face.chance
    light = (face.pixels.astype(np.float32) / 255) ** chance.uniform(1.2, 2.2) * chance.uniform(0.12, 0.6)
    grain = chance.normal(0, chance.uniform(0.01, 0.07), (CROP_PX, CROP_PX, 1)).astype(np.float32)
    blotches = _enlarged(chance.normal(0, chance.uniform(0.0, 0.06), (CROP_PX // 3, CROP_PX // 3, 3)))
    seen = light + grain * np.sqrt(light + 0.05) * 2 + blotches
    if chance.random() < 0.5:  # a camera that brightens what it has
        seen = seen * chance.uniform(1.0, 0.5 / max(0.05, float(light.mean())))
    return _bytes(seen)


def backlight(face: Canvas) -> Pixels:
    """Light from one side or from above that falls into the lens, and the face in shade."""
    chance, y_x = face.chance, np.mgrid[:CROP_PX, :CROP_PX].astype(np.float32) / CROP_PX - 0.5
    angle = chance.uniform(0, 2 * np.pi)
    slope = (np.cos(angle) * y_x[1] + np.sin(angle) * y_x[0]) * chance.uniform(0.4, 1.6)
    light = face.pixels.astype(np.float32) / 255
    shade = chance.uniform(0.12, 0.5) * (1 + slope[..., None])
    flare = np.clip(chance.uniform(0.0, 0.3) + slope * chance.uniform(0.2, 0.9), 0, 1)[..., None]
    noise = chance.normal(0, chance.uniform(0.0, 0.02), light.shape)
    return _bytes(light ** chance.uniform(1.0, 1.6) * shade + flare + noise)


def motion_blur(face: Canvas) -> Pixels:
    """Blurred along a way that bends, as a hand or a head moves."""
    chance = face.chance
    steps, length = 17, chance.uniform(0.08, 0.4) * EYES_PX
    turn, angle = chance.uniform(-1.6, 1.6), chance.uniform(0, 2 * np.pi)
    way = np.cumsum(
        [(np.cos(angle + turn * t), np.sin(angle + turn * t)) for t in np.linspace(-0.5, 0.5, steps)], axis=0
    )
    way = (way - way.mean(0)) * length / steps
    kernel = np.zeros((CROP_PX, CROP_PX), np.float32)
    for x, y in way:
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        for dx in (0, 1):
            for dy in (0, 1):
                kernel[(y0 + dy), (x0 + dx)] += (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
    return _convolved(face.pixels, kernel)


def out_of_focus(face: Canvas) -> Pixels:
    """Each point a disc, as a lens draws it."""
    radius = face.chance.uniform(1.0, 4.5)
    y, x = np.mgrid[:CROP_PX, :CROP_PX]
    y, x = ((v + CROP_PX // 2) % CROP_PX - CROP_PX // 2 for v in (y, x))
    return _convolved(face.pixels, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32))


def small(face: Canvas) -> Pixels:
    """A face of 18 to 48 pixels, enlarged again."""
    chance = face.chance
    side = max(12, round(CROP_PX * chance.uniform(18, 48) / INPUT_PX))
    down, up = (_RESIZERS[int(chance.integers(len(_RESIZERS)))] for _ in range(2))
    image = Image.fromarray(face.pixels).resize((side, side), down)
    if chance.random() < 0.3:
        image = image.filter(ImageFilter.SHARPEN)
    return np.asarray(image.resize((CROP_PX, CROP_PX), up))


def jpeg(face: Canvas) -> Pixels:
    """Compressed at quality 8 to 30, of the size it has or of less, its blocks anywhere on the face."""
    chance = face.chance
    side = round(CROP_PX * chance.uniform(0.45, 1.3))
    image = Image.fromarray(np.roll(face.pixels, chance.integers(0, 8, 2), (0, 1))).resize((side, side), _RESIZERS[0])
    out = io.BytesIO()
    image.save(out, "JPEG", quality=int(chance.integers(8, 31)), subsampling=int(chance.choice([0, 2])))
    return np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGB").resize((CROP_PX, CROP_PX), _RESIZERS[1]))


def mask(face: Canvas) -> Pixels:
    """A cloth over mouth and nose: any colour, stripes or none, its upper edge straight, curved or slipped down."""
    chance, (right, left, nose, right_mouth, left_mouth) = face.chance, face.points.astype(np.float64)
    across, down = left - right, (right_mouth + left_mouth - right - left) / 2
    slip = chance.uniform(-0.35, 0.3)
    width = chance.uniform(0.75, 1.05)
    middle = nose + slip * down
    corners = [
        middle + (-width) * across + chance.uniform(-0.1, 0.35) * down,
        middle + chance.uniform(-0.15, 0.0) * down,
        middle + width * across + chance.uniform(-0.1, 0.35) * down,
        middle + 0.7 * width * across + chance.uniform(0.9, 1.3) * down,
        middle + chance.uniform(1.3, 1.8) * down,
        middle - 0.7 * width * across + chance.uniform(0.9, 1.3) * down,
    ]
    cover = Image.new("L", (CROP_PX, CROP_PX), 0)
    ImageDraw.Draw(cover).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    cover = cover.filter(ImageFilter.GaussianBlur(chance.uniform(0.3, 1.2)))
    return _covered(face.pixels, cover, _cloth(chance))


def glasses(face: Canvas) -> Pixels:
    """Frames of any shape and width, their lenses clear, tinted or dark."""
    chance, (right, left) = face.chance, face.points[:2].astype(np.float64)
    wide, high = chance.uniform(0.28, 0.46) * EYES_PX, chance.uniform(0.2, 0.4) * EYES_PX
    low = chance.uniform(-0.05, 0.15) * EYES_PX
    lens = float(chance.choice([0.0, 0.25, 0.6, 0.95]))
    tone = np.array(chance.integers(0, 90, 3))
    cover = Image.new("L", (CROP_PX, CROP_PX), 0)
    draw = ImageDraw.Draw(cover)
    rim = max(1, round(chance.uniform(0.5, 4)))
    shape = draw.ellipse if chance.random() < 0.5 else draw.rectangle
    for x, y in (right, left):
        shape((x - wide, y + low - high, x + wide, y + low + high), fill=round(255 * lens), outline=255, width=rim)
    draw.line([(right[0] + wide, right[1] + low), (left[0] - wide, left[1] + low)], fill=255, width=rim)
    for (x, y), side in ((right, -1), (left, 1)):
        draw.line([(x + side * wide, y + low), (x + side * 2.2 * wide, y + low - 2)], fill=255, width=rim)
    colour = (
        np.broadcast_to(tone, (CROP_PX, CROP_PX, 3)) + np.linspace(0, chance.uniform(0, 60), CROP_PX)[:, None, None]
    )
    return _covered(face.pixels, cover.filter(ImageFilter.GaussianBlur(0.4)), colour)


def partial(face: Canvas) -> Pixels:
    """A part of the face is not there: beyond the frame, or behind a hand, a hat, a shoulder."""
    chance, pixels = face.chance, face.pixels.copy()
    if chance.random() < 0.5:
        share = round(chance.uniform(0.2, 0.46) * CROP_PX)
        side = int(chance.integers(4))
        where = (slice(share), slice(-share, None))[side % 2]
        fill = 0 if chance.random() < 0.7 else int(chance.integers(256))
        pixels[(where, slice(None)) if side < 2 else (slice(None), where)] = fill
        return pixels
    cover = Image.new("L", (CROP_PX, CROP_PX), 0)
    x, y = chance.uniform(0.15, 0.85, 2) * CROP_PX
    wide, high = chance.uniform(0.1, 0.32, 2) * CROP_PX
    ImageDraw.Draw(cover).ellipse((x - wide, y - high, x + wide, y + high), fill=255)
    turned = cover.rotate(chance.uniform(0, 180), Image.Resampling.BILINEAR)
    return _covered(pixels, turned.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 2))), _cloth(chance))


def off_angle(face: Canvas) -> Pixels:
    """Seen from the side, from above or below, in perspective, and then aligned as any face is."""
    chance = face.chance
    corners = np.array([(0, 0), (CROP_PX, 0), (CROP_PX, CROP_PX), (0, CROP_PX)], np.float64)
    moved = corners + chance.uniform(-0.17, 0.17, (4, 2)) * CROP_PX
    # Narrower or flatter, as a head that turns is.
    moved = (moved - CROP_PX / 2) * chance.uniform((0.7, 0.8), (1.1, 1.1)) + CROP_PX / 2
    there = _homography(corners, moved)
    points = np.c_[face.points, np.ones(len(face.points))] @ there.T
    aligned = np.vstack(
        (similarity_transform(points[:, :2] / points[:, 2:], face.points.astype(np.float64)), (0, 0, 1))
    )
    way = np.linalg.inv(aligned @ there)
    image = Image.fromarray(face.pixels)
    coefficients = tuple((way / way[2, 2]).ravel()[:8].tolist())
    return np.asarray(image.transform(image.size, Image.Transform.PERSPECTIVE, coefficients, _RESIZERS[0]))


def hazy(face: Canvas) -> Pixels:
    """Little contrast about any grey, and a wrong white."""
    chance, light = face.chance, face.pixels.astype(np.float32) / 255
    contrast = chance.uniform(0.2, 0.75)
    light = light @ _mixed(chance.uniform(0, 1)) * contrast + chance.uniform(0.1, 0.9) * (1 - contrast)
    return _bytes(light * chance.uniform(0.8, 1.2, 3) + chance.normal(0, chance.uniform(0, 0.02), light.shape))


AUGMENTATIONS: Mapping[str, Callable[[Canvas], Pixels]] = {
    one.__name__: one
    for one in (
        low_light, backlight, motion_blur, out_of_focus, small, jpeg, mask, glasses, partial, off_angle, hazy,
    )
}  # fmt: skip


def cropped(pixels: Pixels, chance: np.random.Generator, jitter: float) -> Pixels:
    """The crop uint8 (112, 112, 3) within a canvas, as if the landmarks had been found a little wrong.

    jitter: standard deviation of the shift in pixels; turn, size and shear go with it. Mirrored half of the time.
    """
    turn, size, shear = chance.normal(0, 0.012 * jitter), np.exp(chance.normal(0, 0.015 * jitter)), 0.01 * jitter
    way = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * size
    way = way + chance.normal(0, shear, (2, 2))
    middle = np.array([INPUT_PX / 2, INPUT_PX / 2])
    shift = middle + MARGIN_PX + chance.normal(0, jitter, 2) - way @ middle
    coefficients = (way[0, 0], way[0, 1], shift[0], way[1, 0], way[1, 1], shift[1])
    image = Image.fromarray(pixels)
    crop = np.asarray(image.transform((INPUT_PX, INPUT_PX), Image.Transform.AFFINE, coefficients, _RESIZERS[0]))
    return crop[:, ::-1] if chance.random() < 0.5 else crop


def _bytes(light: NDArray[np.floating]) -> Pixels:
    out: Pixels = (np.clip(light, 0, 1) * 255).round().astype(np.uint8)
    return out


def _enlarged(small_field: NDArray[np.floating]) -> Floats:
    """(h, w, 3) -> (144, 144, 3), smoothly."""
    planes = [
        np.asarray(Image.fromarray(small_field[..., i].astype(np.float32)).resize((CROP_PX, CROP_PX), _RESIZERS[0]))
        for i in range(3)
    ]
    return np.stack(planes, -1)


def _convolved(pixels: Pixels, kernel: Floats) -> Pixels:
    """With a kernel (144, 144) whose middle is at (0, 0); what leaves on one side comes in on the other."""
    spectrum = np.fft.rfft2(pixels.astype(np.float32), axes=(0, 1)) * np.fft.rfft2(kernel / kernel.sum())[..., None]
    seen = np.fft.irfft2(spectrum, s=(CROP_PX, CROP_PX), axes=(0, 1))
    return _bytes(seen / 255)


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The perspective, float64 (3, 3), that carries four points (4, 2) to four others."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        wanted += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(wanted)), 1).reshape(3, 3)


def _mixed(grey: float) -> Floats:
    """Colours (n, 3) @ this: drawn towards their brightness."""
    weigh = np.array([0.299, 0.587, 0.114], np.float32)
    return ((1 - grey) * np.eye(3) + grey * weigh[:, None]).astype(np.float32)


def _cloth(chance: np.random.Generator) -> NDArray[np.floating]:
    """(144, 144, 3) in 0..255: a colour, its shade from one side, sometimes stripes or grain."""
    y, x = np.mgrid[:CROP_PX, :CROP_PX] / CROP_PX
    angle = chance.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    shade = 1 + chance.uniform(0, 0.5) * along
    if chance.random() < 0.4:
        shade = shade + chance.uniform(0.05, 0.4) * np.sin(2 * np.pi * along * chance.uniform(2, 20))
    cloth: NDArray[np.floating] = chance.uniform(10, 245, 3) * shade[..., None]
    return cloth + chance.normal(0, chance.uniform(0, 12), cloth.shape)


def _covered(pixels: Pixels, cover: Image.Image, by: NDArray[np.floating]) -> Pixels:
    share = np.asarray(cover, np.float32)[..., None] / 255
    return np.clip(pixels * (1 - share) + by * share, 0, 255).round().astype(np.uint8)
