"""A face -> its crop: aligned as encoders want it, with a margin that leaves room to align it again."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder import INPUT_PX
from models.image import Pixels

# Around what an encoder sees, in pixels of the crop: as much as landmarks of a hard picture are off by, and some more.
MARGIN_PX = 16
CROP_PX = INPUT_PX + 2 * MARGIN_PX
# Where SFace wants the five landmarks in its 112 x 112 input (the OpenCV Zoo's values; right eye first).
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)], np.float64
)
# Bilinear sampling looks at four pixels: from here on it would skip pixels, so the picture is reduced first.
REDUCE_FROM = 2.0


def similarity_transform(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation, scale and shift, float64 (2, 3), that carry points (n, 2) closest to points (n, 2).

    Least squares without reflection (Umeyama 1991, in two dimensions, where a complex factor says it all).
    """
    p = source[:, 0] + 1j * source[:, 1]
    q = target[:, 0] + 1j * target[:, 1]
    centred = p - p.mean()
    spread = (abs(centred) ** 2).sum()
    # Five landmarks in one point carry no rotation or size; the identity keeps the result finite.
    factor = (centred.conj() * (q - q.mean())).sum() / spread if spread > 0 else 1.0 + 0j
    shift = q.mean() - factor * p.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def align(picture: Pixels, landmarks: NDArray[np.floating], *, margin: int = MARGIN_PX) -> Pixels:
    """The face of uint8 (H, W, 3) with landmarks (5, 2) in pixels -> uint8 (144, 144, 3); black beyond the picture.

    margin: pixels on each side around the 112 that an encoder sees, at the same scale.
    """
    side = INPUT_PX + 2 * margin
    # Without the margin, whatever it is: the part and its reduction are then the same to the last digit.
    forward = similarity_transform(landmarks.astype(np.float64), TEMPLATE)
    rotation, shift = forward[:, :2], forward[:, 2]
    back = np.linalg.inv(rotation) if abs(np.linalg.det(rotation)) > 1e-12 else np.eye(2)  # crop -> picture
    scale = float(np.hypot(back[0, 0], back[1, 0]))  # picture pixels per crop pixel
    reduce = int(scale) if scale >= REDUCE_FROM else 1
    inner = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * INPUT_PX
    part, origin = _part_of(picture, (inner - shift) @ back.T, reduce, int(1.5 * scale * margin) + 1)
    if part is None:
        return np.zeros((side, side, 3), np.uint8)
    image = Image.fromarray(part)
    if reduce > 1:
        image = image.reduce(reduce)
    # Landmarks count pixel centres from 0, Pillow counts them from 0.5.
    offset = (-(back @ (shift + margin)) - back @ np.array([0.5, 0.5]) + 0.5 - origin) / reduce
    back = back / reduce
    coefficients = (back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1])
    crop = image.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(crop)


def middle(crops: Pixels) -> Pixels:
    """What is left of crops uint8 (..., 144, 144, 3) without their margin, uint8 (..., 112, 112, 3): a view."""
    return crops[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX, :]


def _part_of(
    picture: Pixels, corners: NDArray[np.float64], reduce: int, around: int
) -> tuple[Pixels | None, NDArray[np.float64]]:
    """The part of the picture around the corners of the input, and where it begins: small parts copy faster.

    reduce, around: it begins whole steps of `reduce` before the part of a face without a margin, so that reducing puts
    the same pixels together, whatever the margin, which is `around` picture pixels wide.
    """
    height, width = picture.shape[:2]
    spare = 4 + 2 * int(np.ptp(corners[:, 0]) / INPUT_PX)
    x0, y0 = np.floor(corners.min(0)).astype(int) - spare
    x1, y1 = np.ceil(corners.max(0)).astype(int) + spare
    x0, y0 = (_before(int(start), reduce, around) for start in (x0, y0))
    x1, y1 = min(width, x1 + around), min(height, y1 + around)
    if x0 >= x1 or y0 >= y1:
        return None, np.zeros(2)
    return np.ascontiguousarray(picture[y0:y1, x0:x1]), np.array([x0, y0], np.float64)


def _before(start: int, reduce: int, around: int) -> int:
    start = max(0, start)
    return start - reduce * min(-(-around // reduce), start // reduce)
