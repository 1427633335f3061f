"""Pictures broken in the ways that files are broken: by chance, by cut lines, and by people who mean it."""

import io
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pillow_heif
from PIL import Image

FORMS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF")
LONGEST_SIDE_PX = 200
# Whole numbers that sizes, counts and offsets in a file are tried with.
EDGES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)


def seeds(samples: Path) -> list[bytes]:
    """Every shipped photo, small, in every format that is read, some progressive, tiled or with several frames."""
    pillow_heif.register_heif_opener()
    made = []
    for path in sorted(samples.glob("*.jpg")):
        with Image.open(path) as file:
            photo = file.convert("RGB")
        photo.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
        for form in FORMS:
            made.append(_saved(photo, form))
        made.append(_saved(photo, "JPEG", progressive=True))
        made.append(_saved(photo, "TIFF", compression="tiff_lzw"))
        made.append(_saved(photo, "GIF", save_all=True, append_images=[photo.rotate(90)]))
        made.append(_saved(photo.convert("CMYK"), "JPEG"))
    return made


def mutated(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` broken pictures, the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        broken = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            chance.choice(_WAYS)(broken, chance, seeds)
        yield bytes(broken)


def _saved(photo: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    photo.save(out, form, **options)
    return out.getvalue()


def _flip_bits(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 3, 30)) if content else 0):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _flip_in_the_head(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    for _ in range(3 if content else 0):
        content[chance.randrange(min(len(content), 200))] = chance.randrange(256)


def _cut(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    del content[chance.randrange(len(content) + 1) :]


def _take_out(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    start = chance.randrange(len(content) + 1)
    del content[start : start + chance.choice((1, 16, 1000))]


def _double(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    start = chance.randrange(len(content) + 1)
    content[start:start] = content[start : start + chance.choice((1, 64, 4000))]


def _set_a_number(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    size = chance.choice((1, 2, 4))
    if len(content) >= size:
        start = chance.randrange(min(len(content) - size + 1, chance.choice((64, 1024, 1 << 30))))
        number = chance.choice(EDGES) & ((1 << (8 * size)) - 1)
        content[start : start + size] = number.to_bytes(size, chance.choice(("big", "little")))


def _splice(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    other = chance.choice(seeds)
    content[chance.randrange(len(content) + 1) :] = other[chance.randrange(len(other)) :]


def _noise(content: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    start = chance.randrange(len(content) + 1)
    content[start : start + 256] = chance.randbytes(256)


_WAYS: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    *(_flip_bits, _flip_in_the_head, _cut, _take_out),
    *(_double, _set_a_number, _set_a_number, _splice, _noise),
)
