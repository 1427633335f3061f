"""Files of volumes: what is read is written again as it was; what is no volume is refused before it is unpacked."""

import gzip
import io
from fractions import Fraction

import av
import nibabel
import numpy as np
import pytest
import tifffile

from models.errors import TooLarge, UnreadableMedia, UnsupportedMedia
from models.style import voxels

RNG = np.random.default_rng(3)
AFFINE = np.array([[2.0, 0, 0, -10], [0, 2.0, 0, 5], [0, 0, 3.5, 7], [0, 0, 0, 1]])


def nifti(values=None, *, packed=True, kind=np.float32):
    values = RNG.normal(100, 30, (20, 16, 12)) if values is None else values
    content = nibabel.Nifti1Image(values.astype(kind), AFFINE).to_bytes()
    return gzip.compress(content) if packed else content


def tiff(pages):
    out = io.BytesIO()
    tifffile.imwrite(out, pages, photometric="rgb" if pages.ndim == 4 else "minisblack")
    return out.getvalue()


def video(frames=10, side=32):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=Fraction(12))
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((side, side, 3), 20 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


@pytest.mark.parametrize("packed", [True, False])
def test_a_nifti_comes_back_with_its_values_affine_and_spacing(packed):
    values = RNG.normal(100, 30, (20, 16, 12)).astype(np.float32)
    found = voxels.decode(nifti(values, packed=packed))
    assert found.values.shape == (1, 12, 16, 20)
    assert found.spacing == pytest.approx((3.5, 2.0, 2.0))
    again = nibabel.Nifti1Image.from_bytes(gzip.decompress(voxels.encode(found)))
    np.testing.assert_allclose(again.get_fdata(), values, rtol=1e-6)
    np.testing.assert_array_equal(again.affine, AFFINE)


def test_the_first_frame_of_a_nifti_of_four_axes_counts():
    values = RNG.normal(100, 30, (12, 10, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(voxels.decode(nifti(values)).values[0].T, values[..., 0], rtol=1e-6)


def test_whole_numbers_are_written_as_floats_so_that_nothing_is_rounded_away():
    found = voxels.decode(nifti(kind=np.int16))
    again = nibabel.Nifti1Image.from_bytes(gzip.decompress(voxels.encode(found)))
    assert again.get_data_dtype() == np.float32


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_tiff_of_pages_comes_back(kind):
    pages = (RNG.random((10, 12, 14)) * 200).astype(kind)
    found = voxels.decode(tiff(pages))
    assert found.values.shape == (1, 10, 12, 14)
    again = tifffile.imread(io.BytesIO(voxels.encode(found)))
    assert again.dtype == kind
    np.testing.assert_allclose(again, pages, rtol=1e-6)


def test_a_tiff_of_colour_pages_comes_back():
    pages = (RNG.random((9, 12, 14, 3)) * 255).astype(np.uint8)
    found = voxels.decode(tiff(pages))
    assert found.values.shape == (3, 9, 12, 14)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(voxels.encode(found))), pages)


def test_a_video_is_a_volume_of_its_frames_and_keeps_its_rate():
    found = voxels.decode(video())
    assert found.values.shape == (3, 10, 32, 32)
    assert found.values[:, 5].mean() == pytest.approx(100, abs=6)
    with av.open(io.BytesIO(voxels.encode(found)), "r") as file:
        assert file.streams.video[0].average_rate == 12
        assert sum(1 for _ in file.decode(video=0)) == 10


def test_what_is_no_number_is_refused():
    values = np.full((12, 12, 12), np.nan)
    with pytest.raises(UnreadableMedia, match="no numbers"):
        voxels.decode(nifti(values))


@pytest.mark.parametrize("content", [b"", b"some text", b"RIFF\0\0\0\0WAVEfmt ", b"\x1f\x8b but no gzip"])
def test_what_is_no_volume_is_not_taken_for_one(content):
    assert not voxels.looks_like(content)
    with pytest.raises(UnsupportedMedia):
        voxels.decode(content)


def test_a_tiff_of_one_page_is_a_picture():
    assert not voxels.looks_like(tiff(np.zeros((12, 14), np.uint8)))


@pytest.mark.parametrize("make", [nifti, lambda: tiff(np.ones((10, 40, 40), np.uint8)), video])
def test_a_volume_that_is_cut_short_is_refused(make):
    content = make()
    with pytest.raises((UnreadableMedia, UnsupportedMedia)):
        voxels.decode(content[: len(content) // 2])


def test_a_file_that_promises_more_than_is_read_is_refused_before_it_is_unpacked():
    head = nibabel.Nifti1Header()
    head.set_data_dtype(np.uint8)
    head.set_data_shape((2000, 2000, 2000))
    head["vox_offset"], head["magic"] = 352, b"n+1"
    bomb = gzip.compress(head.binaryblock + bytes(1 << 22))
    assert len(bomb) < 1 << 16
    with pytest.raises(TooLarge):
        voxels.decode(bomb)


def test_a_volume_as_thin_as_a_sheet_is_refused():
    with pytest.raises(UnreadableMedia, match="along each axis"):
        voxels.decode(nifti(np.zeros((20, 20, 2))))
