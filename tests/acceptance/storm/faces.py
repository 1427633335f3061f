"""Whom the storm enrols: people whose pictures carry their own reading, and a few on real photos."""

import io
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from app.domain.face import Face, Quality, Reading, ReadingTimes

Vector = NDArray[np.float32]

MAGIC = b"a picture that carries its embedding\0"
SIZE = 128
LANDMARKS = ((250.0, 180.0), (390.0, 180.0), (320.0, 260.0), (270.0, 330.0), (370.0, 330.0))
QUALITY = Quality(0.9, (), 300.0, 0.0, 0.0, 0.0, 0.6, 0.5, 0.0)
# How close a probe is to its person's first look.
NEAREST, FARTHEST = 0.8, 0.6
# The shorter side is 224 pixels or so: read in a tenth of a second.
LONGEST_SIDE_PX = 320


def reading_of(image: bytes, model_id: str = "") -> Reading | None:
    """The reading that the picture carries, as if that model had made it; None for a real one."""
    if not image.startswith(MAGIC):
        return None
    vector = np.frombuffer(image[len(MAGIC) :], np.float32)
    face = Face((200.0, 60.0, 440.0, 420.0), LANDMARKS, 0.99, QUALITY, vector)
    return Reading(640, 480, (face,), ReadingTimes(), model_id)


def picture_of(vector: Vector) -> bytes:
    """A picture whose embedding is that vector, made as long as 1."""
    return MAGIC + (vector / np.linalg.norm(vector)).astype(np.float32).tobytes()


class Drawn:
    """Somebody made of two directions of their own: a first look, and another one that is known only with it.

    A probe of the first look lies at 0.6..0.8 to it. One of the other look lies at 0.2 to the first, below every
    threshold, and at 0.9 to the other.
    """

    is_real = False

    def __init__(self, first: Vector, second: Vector, noise: NDArray[np.float32]) -> None:
        self._first = first
        self._second = _across(second, first)
        self._noise = noise

    def first(self, chance: random.Random) -> bytes:
        """What they are enrolled by."""
        return picture_of(self._first)

    def other(self, chance: random.Random) -> bytes:
        """What a second template is made of; looks like the first at 0.6."""
        return picture_of(0.6 * self._first + 0.8 * self._second)

    def probe(self, chance: random.Random) -> bytes:
        """A picture that the first look is recognized in."""
        closeness = chance.uniform(FARTHEST, NEAREST)
        noise = _across(self._noise[chance.randrange(len(self._noise))], self._first)
        return picture_of(closeness * self._first + (1 - closeness**2) ** 0.5 * noise)

    def probe_of_other(self, chance: random.Random) -> bytes | None:
        """A picture that only the other look is recognized in."""
        return picture_of(0.2 * self._first + 0.98 * self._second)


class Photographed:
    """Somebody on a real photo, turned and lit a little differently each time."""

    is_real = True

    def __init__(self, photo: Image.Image) -> None:
        turns = range(-4, 5)
        lights = [0.88 + 0.06 * step for step in range(5)]
        self._looks = [_changed(photo, *way) for way in itertools.product(turns, lights)]

    def farthest_looks(self) -> Sequence[bytes]:
        """The two that differ most, and the one between them."""
        return [self._looks[at] for at in (0, len(self._looks) // 2, -1)]

    def first(self, chance: random.Random) -> bytes:
        """Any look of them."""
        return chance.choice(self._looks)

    other = probe = first

    def probe_of_other(self, chance: random.Random) -> bytes | None:
        """None: one look is recognized in another."""
        return None


class Cast:
    """Everybody there is: any two directions of different people are nearly at right angles, so that no chance decides.

    They are the shifts of the Gold sequences of length 127: 16,382 vectors, and the inner product of any two is within
    17 / 127. With what probes and templates are mixed of, no probe comes closer than 0.27 to anybody else's template,
    and the lowest threshold that is shipped for 1:K at its tightest measured point is 0.31. Where the networks put the
    people on real photos is nobody's choice: of all directions only those are taken that are far from theirs.
    """

    STRANGERS = 200
    NOISE = 200
    # A real face and any mixture of such directions, at most 1.4 of their sum, are less than 0.21 close.
    CLOSEST_TO_REAL = 0.15

    def __init__(self, samples: Path, see: Callable[[Sequence[bytes]], NDArray[np.float32]]) -> None:
        """samples: folder of the shipped photos; see: the embeddings of real pictures, (N, 128)."""
        # One enrolment of each at a time: they look like nobody but themselves.
        self.photographed = [Photographed(_opened(samples / f"{name}.jpg")) for name in NAMES]
        real = see([look for one in self.photographed for look in one.farthest_looks()])
        family = gold_vectors()
        family = family[(family @ real.T).max(axis=1) < self.CLOSEST_TO_REAL]
        self._noise, family = family[: self.NOISE], family[self.NOISE :]
        pairs = family[: len(family) // 2 * 2].reshape(-1, 2, SIZE)
        self.strangers = [Drawn(*pair, self._noise) for pair in pairs[: self.STRANGERS]]
        self._people: Iterator[Drawn] = (Drawn(*pair, self._noise) for pair in pairs[self.STRANGERS :])

    def next_person(self) -> Drawn:
        """Somebody new. Raises StopIteration after some thousands."""
        return next(self._people)


NAMES = ("collins", "hopper", "obama-2009")


def gold_vectors() -> NDArray[np.float32]:
    """float32 (16382, 128): unit vectors, any two with an inner product of -17, -1 or 15 parts of 127."""
    one, two = _sequence((7, 3)), _sequence((7, 3, 2, 1))
    sequences = [one, two, *(one ^ np.roll(two, shift) for shift in range(127))]
    signs = 1.0 - 2.0 * np.array([np.roll(sequence, shift) for sequence in sequences for shift in range(127)])
    vectors = np.zeros((len(signs), SIZE), np.float32)
    vectors[:, :127] = signs / np.sqrt(127)
    return vectors[: len(vectors) // 2 * 2]


def _across(vector: Vector, direction: Vector) -> Vector:
    """What of the vector is at right angles to that direction, made as long as 1."""
    rest = vector - (vector @ direction) * direction
    return (rest / np.linalg.norm(rest)).astype(np.float32)


def _sequence(taps: tuple[int, ...]) -> NDArray[np.int64]:
    """One period of the linear feedback shift register with these taps, 127 bits of 0 and 1."""
    state, bits = [1] * 7, []
    for _ in range(127):
        bits.append(state[-1])
        state = [sum(state[tap - 1] for tap in taps) % 2, *state[:-1]]
    return np.array(bits)


def _opened(path: Path) -> Image.Image:
    photo = Image.open(path).convert("RGB")
    photo.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    return photo


def _changed(photo: Image.Image, turn: float, light: float) -> bytes:
    out = io.BytesIO()
    ImageEnhance.Brightness(photo.rotate(turn, Image.Resampling.BILINEAR)).enhance(light).save(out, "JPEG", quality=90)
    return out.getvalue()
