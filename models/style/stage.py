"""What the engine works on: a canvas of any number of dimensions, and whoever says how good it is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from models.style.options import Options
from models.style.vgg19 import Precision

# Called between tiles and evaluations: whoever watches learns that the render advances, and may raise to stop it.
Beat = Callable[[], object]


def silence() -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The literature's costs of one canvas: total = alpha content + beta style (+ tv); per_layer: layer -> its share of
    `style`, lambda included.
    """

    total: float
    content: float
    style: float
    per_layer: Mapping[str, float] = field(default_factory=dict)


class Network(Protocol):
    """What perceives a canvas (1, C, *space): fixed, differentiable with respect to the canvas."""

    digest: str

    def __call__(self, canvas: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Layer -> activations (1, C, *space / stride), in whatever precision it computes."""
        ...

    def stride(self, layer: str) -> int:
        """Positions of the canvas, along each axis, from one position of that layer to the next."""
        ...

    def reach(self, layer: str) -> int:
        """How many positions of the canvas, along each axis, one position of that layer sees."""
        ...


class Evaluate(Protocol):
    """How good a canvas is."""

    def __call__(self, canvas: Tensor, beat: Beat = silence, turn: int = 0) -> tuple[Losses, Tensor]:
        """The costs of a canvas float32 (1, C, *space), and the gradient of `total` with respect to it.

        turn: which evaluation of its stage this is; what looks at something else each time draws from it.
        """
        ...


@dataclass(frozen=True)
class Stage:
    """One scale of a render, ready to be worked on.

    begin: from the canvas at the end of the stage before (None for the first) to the canvas that this one begins with.
    enlarge: what the optimiser of the stage before keeps of the size of its canvas, to this stage's size. bounds: least
    and greatest value that a canvas shall have; None: any.
    """

    evaluate: Evaluate
    begin: Callable[[Tensor | None], Tensor]
    enlarge: Callable[[Tensor], Tensor]
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scale:
    """A stage to come: how many steps it takes, and how it is made when its turn has come."""

    steps: int
    make: Callable[[], Stage]


@dataclass(frozen=True)
class Result:
    """A file. facts: what it is, such as width and height."""

    content: bytes
    media_type: str
    suffix: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Medium(Protocol):
    """Pictures, sound, volumes, points: what a canvas is made of, and what becomes of it. None knows of the others."""

    media_type: str
    suffix: str
    memory_bytes: int
    options: Options

    def compute_in(self, precision: Precision, device: str) -> None:
        """How stages made from now on compute: `float32` or `bfloat16`, on `cpu` or `cuda`, where it matters."""
        ...

    def scales(self) -> Sequence[Scale]:
        """The scales of the render, from the coarsest; making a stage is the expensive part, naming them is not."""
        ...

    def preview(self, canvas: Tensor) -> tuple[bytes, str]:
        """(a JPEG or PNG that shows a canvas of any of its scales, its media type)."""
        ...

    def result(self, canvas: Tensor) -> Result:
        """The file that a canvas of the last scale becomes."""
        ...
