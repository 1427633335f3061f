"""Where readings, time and ids come from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from app.domain.face import Crop, Reading, Vector

Wanted = Literal["none", "main", "all"]


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


class Identifiers(Protocol):
    """Where ids and secrets come from."""

    def new(self, prefix: str) -> str:
        """A fresh id `<prefix>_<20 characters>`; ids made later sort later."""
        ...

    def secret(self) -> str:
        """A fresh secret of 256 bits, URL-safe text."""
        ...


class FaceReader(Protocol):
    """Pictures -> faces. Thread-safe; blocks the calling thread until the picture was read."""

    @property
    def model_id(self) -> str:
        """The model that reads now: digest of the weights and of the preprocessing that make the embeddings."""
        ...

    def encode(self, crops: Sequence[Crop], model_id: str) -> Vector:
        """Crops uint8 (144, 144, 3) -> float32 (n, 128), rows of unit length, by that very model.

        Raises NotReady where its weights are not here.
        """
        ...

    def read(self, image: bytes, *, encode: Wanted = "main", thorough: bool = False) -> Reading:
        """Finds and, as `encode` says, encodes the faces of one picture; the main face comes first.

        thorough: look at full size for small faces too, where otherwise one clear face ends the search.
        Raises the ImageRefused errors, Busy when the queue is full, ShuttingDown.
        """
        ...
