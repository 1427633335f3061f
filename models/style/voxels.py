"""Files of volumes -> values on a grid, and back: NIfTI, TIFF of several pages, short videos.

A volume file is as hostile as a picture: what it would unpack to is known and bounded before it is unpacked.
"""

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import av
import nibabel
import numpy as np
import tifffile
from numpy.typing import NDArray

from models.errors import TooLarge, UnreadableMedia, UnsupportedMedia

Form = Literal["nifti", "tiff", "video"]
Floats = NDArray[np.float32]
MEDIA: dict[Form, tuple[str, str]] = {
    "nifti": ("application/gzip", ".nii.gz"),
    "tiff": ("image/tiff", ".tiff"),
    "video": ("video/mp4", ".mp4"),
}
MOST_VOXELS, LEAST_SIDE = 64_000_000, 8
NIFTI_BYTES = 348  # of the header, which the file begins with, packed or not
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Voxels:
    """values: float32 (channels, depth, height, width); spacing: millimetres, or any unit, along the three axes; made:
    what the file said of itself and gets again.
    """

    values: Floats = field(repr=False)
    spacing: tuple[float, float, float]
    form: Form
    made: Mapping[str, Any] = field(repr=False, default_factory=dict)


def looks_like(content: bytes) -> bool:
    """Whether that is a volume: NIfTI, a TIFF of several pages, or a video."""
    return form_of(content) is not None


def form_of(content: bytes) -> Form | None:
    """Which kind of volume that is, by its first bytes; None for none."""
    head = _unpacked(content, NIFTI_BYTES)
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and head[344:347] in (b"n+1", b"ni1"):
        return "nifti"
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff" if _pages(content) > 1 else None
    if (content[4:8] == b"ftyp" and content[8:11] not in (b"hei", b"hev", b"mif", b"msf", b"avi")) or (
        content[:4] == b"\x1aE\xdf\xa3"
    ):
        return "video"
    return None


def decode(content: bytes) -> Voxels:
    """The volume. Raises UnreadableMedia, UnsupportedMedia, and TooLarge before anything large is unpacked."""
    form = form_of(content)
    if form is None:
        raise UnsupportedMedia("A volume is a NIfTI file, a TIFF of several pages, or a short video.")
    read = {"nifti": _nifti, "tiff": _tiff, "video": _video}[form]
    try:
        found = read(content)
    except (UnreadableMedia, TooLarge):
        raise
    except Exception as e:  # decoders of hostile bytes fail in every way there is
        raise UnreadableMedia("The volume is damaged or cut short: send the file again.") from e
    if not np.isfinite(found.values).all():
        raise UnreadableMedia("The volume holds values that are no numbers: replace them first.")
    if min(found.values.shape[1:]) < LEAST_SIDE:
        raise UnreadableMedia(f"A volume has {LEAST_SIDE} voxels along each axis at least.")
    return found


def encode(voxels: Voxels) -> bytes:
    """The file, as the one that it was read from: header, affine, type of values, frames a second."""
    write = {"nifti": _as_nifti, "tiff": _as_tiff, "video": _as_video}[voxels.form]
    return write(voxels)


def _nifti(content: bytes) -> Voxels:
    head = nibabel.Nifti1Header.from_fileobj(io.BytesIO(_unpacked(content, NIFTI_BYTES)), check=False)  # type: ignore[no-untyped-call]
    shape = [int(length) for length in head.get_data_shape()]
    if len(shape) < 3 or any(length != 1 for length in shape[4:]):
        raise UnreadableMedia(
            "A NIfTI volume has three axes, and at most a fourth of frames, of which the first counts."
        )
    _admit(shape[:4])
    most = int(head["vox_offset"]) + int(np.prod(shape)) * head.get_data_dtype().itemsize
    plain = _unpacked(content, max(most, NIFTI_BYTES))
    if len(plain) < most:
        raise UnreadableMedia("The NIfTI file is cut short: send it again.")
    image = nibabel.Nifti1Image.from_bytes(plain)
    values = np.asanyarray(image.dataobj, dtype=np.float32)
    values = values.reshape((*values.shape[:3], -1))[..., 0]
    # NIfTI's first axis runs fastest; ours is depth, height, width.
    spacing = tuple(float(abs(zoom)) or 1.0 for zoom in image.header.get_zooms()[:3][::-1])  # type: ignore[no-untyped-call]
    made = {"affine": image.affine, "header": image.header.copy()}  # type: ignore[no-untyped-call]
    return Voxels(np.ascontiguousarray(values.T)[None], (spacing[0], spacing[1], spacing[2]), "nifti", made)


def _as_nifti(voxels: Voxels) -> bytes:
    header = voxels.made["header"].copy()
    kind = np.dtype(header.get_data_dtype())
    values = voxels.values[0].T
    if np.issubdtype(kind, np.integer):
        kind = np.dtype(np.float32)  # scaled integers would round what was rendered
    image = nibabel.Nifti1Image(values.astype(kind), voxels.made["affine"], header)  # type: ignore[no-untyped-call]
    image.header.set_data_dtype(kind)  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(1.0, 0.0)  # type: ignore[no-untyped-call]
    return zlib_packed(image.to_bytes())


def _tiff(content: bytes) -> Voxels:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        pages = file.pages
        first = pages[0]
        shape = tuple(int(length) for length in first.shape)
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[-1] not in (3, 4)):
            raise UnreadableMedia("Each page of a TIFF volume is grey or RGB.")
        _admit([len(pages), *shape])
        if any(page.shape != first.shape or page.dtype != first.dtype for page in pages):
            raise UnreadableMedia("The pages of a TIFF volume have one size and one type.")
        stack = np.stack([page.asarray() for page in pages])
    colours = stack[..., :3] if stack.ndim == 4 else stack[..., None]
    values = np.ascontiguousarray(np.moveaxis(colours, -1, 0)).astype(np.float32)
    return Voxels(values, (1.0, 1.0, 1.0), "tiff", {"dtype": stack.dtype.name})


def _as_tiff(voxels: Voxels) -> bytes:
    kind = np.dtype(voxels.made["dtype"])
    values = voxels.values
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        values = np.clip(np.round(values), limits.min, limits.max)
    pages = np.moveaxis(values.astype(kind), 0, -1)
    out = io.BytesIO()
    colours = pages.shape[-1] == 3
    tifffile.imwrite(out, pages if colours else pages[..., 0], photometric="rgb" if colours else "minisblack")
    return out.getvalue()


def _video(content: bytes) -> Voxels:
    frames = []
    with av.open(io.BytesIO(content), "r") as file:
        if not file.streams.video:
            raise UnreadableMedia("The video shows nothing: it has no pictures.")
        stream = file.streams.video[0]
        rate = stream.average_rate or Fraction(25)
        for frame in file.decode(stream):
            frames.append(frame.to_ndarray(format="rgb24"))
            _admit([len(frames), *frames[0].shape])
            if frames[-1].shape != frames[0].shape:
                raise UnreadableMedia("The pictures of the video change their size.")
    if not frames:
        raise UnreadableMedia("The video has no pictures.")
    values = np.moveaxis(np.stack(frames), -1, 0).astype(np.float32)
    return Voxels(np.ascontiguousarray(values), (1.0, 1.0, 1.0), "video", {"rate": rate})


def _as_video(voxels: Voxels) -> bytes:
    frames = np.moveaxis(np.clip(np.round(voxels.values), 0, 255).astype(np.uint8), 0, -1)
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    # H.264 halves the colours: sides must be even.
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=voxels.made["rate"])
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        for picture in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def zlib_packed(plain: bytes) -> bytes:
    """gzip, the same bytes for the same content: no time in its header."""
    packer = zlib.compressobj(6, wbits=31)
    return packer.compress(plain) + packer.flush()


def _unpacked(content: bytes, most: int) -> bytes:
    """At most so many of the first bytes, unpacked where they are packed."""
    if not content.startswith(GZIP):
        return content[:most]
    try:
        return zlib.decompressobj(wbits=31).decompress(content, most)
    except zlib.error:
        return b""


def _pages(content: bytes) -> int:
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            return len(file.pages)
    except Exception:  # it is no TIFF that can be read: the decoder of pictures says what is wrong
        return 0


def _admit(shape: list[int]) -> None:
    voxels = 1
    for length in shape:
        voxels *= max(1, length)
    if voxels > MOST_VOXELS:
        raise TooLarge(f"The volume has {voxels:,} values and {MOST_VOXELS:,} are read at most: cut it.", MOST_VOXELS)
