"""A face -> the crop that the encoder was trained on."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder import CROP_PX
from models.image import Pixels

# Where SFace wants the five landmarks in its 112 x 112 crop (the OpenCV Zoo's values; right eye first).
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


def align(picture: Pixels, landmarks: NDArray[np.floating], *, margin: int = 0) -> Pixels:
    """The face of uint8 (H, W, 3) with landmarks (5, 2) in pixels -> uint8 (112, 112, 3); black beyond the picture.

    margin: so many more pixels on each side, at the same scale.
    """
    side = CROP_PX + 2 * margin
    forward = similarity_transform(landmarks.astype(np.float64), TEMPLATE + margin)
    rotation, shift = forward[:, :2], forward[:, 2]
    back = np.linalg.inv(rotation) if abs(np.linalg.det(rotation)) > 1e-12 else np.eye(2)  # crop -> picture
    corners = (np.array([(0, 0), (side, 0), (0, side), (side, side)]) - shift) @ back.T
    part, origin = _part_of(picture, corners)
    if part is None:
        return np.zeros((side, side, 3), np.uint8)
    image = Image.fromarray(part)
    scale = float(np.hypot(back[0, 0], back[1, 0]))  # picture pixels per crop pixel
    reduce = int(scale) if scale >= REDUCE_FROM else 1
    if reduce > 1:
        image = image.reduce(reduce)
    # Landmarks count pixel centres from 0, Pillow counts them from 0.5.
    offset = (-(back @ shift) - back @ np.array([0.5, 0.5]) + 0.5 - origin) / reduce
    back = back / reduce
    coefficients = (back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1])
    crop = image.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(crop)


def _part_of(picture: Pixels, corners: NDArray[np.float64]) -> tuple[Pixels | None, NDArray[np.float64]]:
    """The part of the picture around the corners, with a margin, and where it begins: small parts copy faster."""
    height, width = picture.shape[:2]
    margin = 4 + 2 * int(np.ptp(corners[:, 0]) / CROP_PX)
    x0, y0 = np.floor(corners.min(0)).astype(int) - margin
    x1, y1 = np.ceil(corners.max(0)).astype(int) + margin
    x0, x1 = max(0, x0), min(width, x1)
    y0, y1 = max(0, y0), min(height, y1)
    if x0 >= x1 or y0 >= y1:
        return None, np.zeros(2)
    return np.ascontiguousarray(picture[y0:y1, x0:x1]), np.array([x0, y0], np.float64)
