"""The decoder: what is read, how it comes out, and what is refused before it costs anything."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from models.errors import TooManyBytes, TooManyPixels, UnreadableImage, UnsupportedMedia
from models.image import decode, opacity

RED, GREEN = (200, 30, 40), (20, 180, 60)


def picture(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Left half red, right half green."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def close_to(pixel: np.ndarray, colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF"])
def test_reads_every_format_as_rgb(kind: str) -> None:
    pixels = decode(encoded(picture(), kind))
    assert pixels.shape == (32, 48, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert close_to(pixels[16, 8], RED)
    assert close_to(pixels[16, 40], GREEN)


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG"), ("RGBA", "PNG")])
def test_reads_every_colour_mode_as_rgb(mode: str, kind: str) -> None:
    pixels = decode(encoded(picture(mode), kind))
    assert close_to(pixels[16, 8], RED, 60)
    assert close_to(pixels[16, 40], GREEN, 60)


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("L", "JPEG")])
def test_reads_grey_as_three_equal_channels(mode: str, kind: str) -> None:
    pixels = decode(encoded(picture(mode), kind))
    assert pixels.shape == (32, 48, 3)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_scales_sixteen_bit_grey_to_eight() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, 0)
    pixels = decode(encoded(Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(pixels[0, :, 0], np.arange(256), atol=1)


def test_scales_float_grey_from_one() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(8, 0)
    pixels = decode(encoded(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_allclose(pixels[0, :, 0], np.arange(256), atol=1)


def test_refuses_float_pictures_of_no_numbers() -> None:
    with pytest.raises(UnreadableImage):
        decode(encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"))


def test_lays_transparency_over_white() -> None:
    image = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    assert (decode(encoded(image, "PNG")) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_turns_the_picture_upright_by_its_exif_orientation(orientation: int, kind: str) -> None:
    upright = picture(size=(64, 32))
    # What a camera held that way writes: the transformation that the tag undoes.
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encoded(stored, kind, exif=exif.tobytes()))
    assert pixels.shape == (32, 64, 3)
    assert close_to(pixels[16, 10], RED, 20)
    assert close_to(pixels[16, 54], GREEN, 20)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_reads_the_first_frame_of_several(kind: str) -> None:
    frames = [picture(), Image.new("RGB", (48, 32), "blue"), Image.new("RGB", (48, 32), "black")]
    pixels = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert close_to(pixels[16, 8], RED, 20)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_refuses_a_file_that_was_cut_short(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    image = encoded(noise, kind)
    with pytest.raises((UnreadableImage, UnsupportedMedia)):
        decode(image[: int(len(image) * share)])


def test_refuses_damaged_data_inside_a_sound_frame() -> None:
    image = bytearray(encoded(picture(size=(200, 200)), "PNG"))
    at = image.index(b"IDAT") + 8
    image[at : at + 20] = b"\xff" * 20
    with pytest.raises(UnreadableImage):
        decode(bytes(image))


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"not a picture at all", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7"]
)
def test_refuses_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        decode(content)


def test_refuses_a_bomb_before_decoding_it() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(TooManyPixels, match="60000 x 60000"):
        decode(bomb)


def test_refuses_more_bytes_than_the_limit() -> None:
    with pytest.raises(TooManyBytes):
        decode(encoded(picture(), "PNG") + b"\0" * 2000, max_bytes=1500)


def test_takes_a_picture_of_exactly_the_limit_and_refuses_one_pixel_row_more() -> None:
    image = encoded(picture(size=(48, 32)), "PNG")
    assert decode(image, max_pixels=48 * 32).shape == (32, 48, 3)
    with pytest.raises(TooManyPixels):
        decode(image, max_pixels=48 * 32 - 1)


def test_no_hostile_byte_string_raises_anything_but_our_errors() -> None:
    generator = np.random.default_rng(3)
    good = [encoded(picture(size=(40, 40)), kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF")]
    for round_ in range(400):
        image = bytearray(good[round_ % len(good)])
        for at in generator.integers(0, len(image), 12):
            image[at] = generator.integers(0, 256)
        try:
            pixels = decode(bytes(image), max_pixels=100_000)
        except (UnreadableImage, UnsupportedMedia, TooManyPixels):
            continue
        assert pixels.ndim == 3
        assert pixels.dtype == np.uint8


def test_refuses_a_jpeg_of_very_many_scans() -> None:
    image = encoded(picture(size=(2000, 2000)), "JPEG", progressive=True)
    last = image.rindex(b"\xff\xda")
    scan = image[last:-2]
    assert decode(image).shape == (2000, 2000, 3)
    with pytest.raises(UnreadableImage, match="scans"):
        decode(image[:-2] + scan * 300 + b"\xff\xd9")


def test_refuses_a_side_longer_than_the_limit_whatever_the_pixels() -> None:
    with pytest.raises(TooManyPixels, match="longer"):
        decode(encoded(Image.new("RGB", (40_000, 1)), "PNG"))


def test_refuses_bmp_with_run_lengths() -> None:
    palette = b"\0\0\0\0\xff\xff\xff\0" + bytes(254 * 4)
    body = b"\x08\x01\0\0" * 8 + b"\0\x01"
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    with pytest.raises(UnsupportedMedia, match="run lengths"):
        decode(b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body)


def test_refuses_a_tiff_whose_tiles_are_far_larger_than_the_picture() -> None:
    image = bytearray(encoded(picture(size=(16, 16)), "TIFF"))
    # Strips become one tile of 20,000 x 20,000: the tags that Pillow wrote for strips are renamed.
    order = "<" if image[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", image, 4)
    (count,) = struct.unpack_from(order + "H", image, first)
    tile = {278: (322, 20_000), 277: None}
    for entry in range(count):
        at = first + 2 + 12 * entry
        (tag,) = struct.unpack_from(order + "H", image, at)
        if tile.get(tag):
            name, value = tile[tag]
            struct.pack_into(order + "HHII", image, at, name, 4, 1, value)
        if tag == 284:  # planar configuration
            struct.pack_into(order + "HHII", image, at, 323, 4, 1, 20_000)
    with pytest.raises(TooManyPixels, match="tiles"):
        decode(bytes(image))


@pytest.mark.parametrize("brand", [b"avif", b"isom", b"mp42", b"qt  "])
def test_a_film_or_an_avif_is_unsupported_and_not_damaged(brand: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        decode(b"\0\0\0\x18ftyp" + brand + b"\0" * 100)


def test_the_transparent_colour_of_an_rgb_png_is_white() -> None:
    pixels = decode(encoded(picture(), "PNG", transparency=RED))
    assert (pixels[16, 8] == 255).all()
    assert close_to(pixels[16, 40], GREEN)


def half_seen(size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Opaque on the left, of 100 of 255 on the right."""
    image = picture("RGBA", size)
    image.putalpha(100)
    image.paste((*RED, 255), (0, 0, size[0] // 2, size[1]))
    return image


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "HEIF"])
def test_the_opacity_is_the_alpha_channel(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": -1} if kind == "HEIF" else {}
    alpha = opacity(encoded(half_seen(), kind, **options))
    assert alpha is not None
    assert (alpha.shape, alpha.dtype) == ((32, 48), np.uint8)
    assert (alpha[:, :24] == 255).all()
    assert (alpha[:, 24:] == 100).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_what_is_opaque_has_no_opacity(mode: str) -> None:
    assert opacity(encoded(picture(mode), "PNG")) is None


@pytest.mark.parametrize("kind", ["JPEG", "BMP"])
def test_a_format_without_transparency_has_no_opacity(kind: str) -> None:
    assert opacity(encoded(picture(), kind)) is None


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_entry_of_a_palette_is_not_seen(kind: str) -> None:
    image = picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    alpha = opacity(encoded(image, kind, transparency=image.getpixel((40, 16))))
    assert alpha is not None
    assert (alpha[:, :22] == 255).all()
    assert (alpha[:, 26:] == 0).all()


def test_a_palette_may_be_seen_through_in_part() -> None:
    image = picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    shares = bytearray(b"\xff\xff")
    shares[image.getpixel((40, 16))] = 100
    alpha = opacity(encoded(image, "PNG", transparency=bytes(shares)))
    assert alpha is not None
    assert sorted(np.unique(alpha)) == [100, 255]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_transparent_colour_of_a_png_is_not_seen(mode: str) -> None:
    image = picture(mode)
    alpha = opacity(encoded(image, "PNG", transparency=image.getpixel((40, 16))))
    assert alpha is not None
    assert (alpha[:, :24] == 255).all()
    assert (alpha[:, 24:] == 0).all()


def test_the_opacity_of_grey_with_alpha() -> None:
    alpha = opacity(encoded(half_seen().convert("LA"), "PNG"))
    assert alpha is not None
    assert (alpha[:, 24:] == 100).all()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_opacity_is_upright(orientation: int) -> None:
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = encoded(half_seen((64, 32)).transpose(undo), "PNG", exif=exif.tobytes())
    alpha = opacity(image)
    assert alpha is not None
    assert alpha.shape == decode(image).shape[:2] == (32, 64)
    assert (alpha[:, :32] == 255).all()
    assert (alpha[:, 32:] == 100).all()


@pytest.mark.parametrize("content", [b"", b"not a picture at all", b"\x89PNG\r\n\x1a\n cut short"])
def test_the_opacity_of_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableImage):
        opacity(content)
