"""Which model's embeddings are compared, and which one's are being made beside them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from app.domain.face import Crop, Vector
from app.errors import NotReady

# Cut-overs are years apart: who meets more than one while answering meets a fault of ours.
MOST_READINGS = 4

T = TypeVar("T")


class ModelChanged(Exception):
    """Another model is served than the one that read the picture, or another one is prepared: read it again."""


@dataclass(frozen=True, slots=True)
class Served:
    """model_id: whose templates are searched. next_id: whose embeddings are being made for a cut-over, or None."""

    model_id: str
    next_id: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A template that the next model has not embedded yet, with its crop, uint8 (144, 144, 3), which is never shown."""

    template_id: str
    crop: Crop = field(repr=False)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A template's embedding by another model than the one that it is searched by: float32 (128,) of unit length."""

    template_id: str
    vector: Vector = field(repr=False)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Persons of whom no template can be searched after a cut-over: how many, and the first of them in order of id."""

    persons: int
    first: tuple[str, ...]


def in_one_model(work: Callable[[], T]) -> T:
    """What the work gives; done again where it raised ModelChanged, so that no two models meet in one answer.

    Raises NotReady where that does not end.
    """
    for _ in range(MOST_READINGS):
        try:
            return work()
        except ModelChanged:
            continue
    raise NotReady("The model is being changed: try again in a few seconds.")
