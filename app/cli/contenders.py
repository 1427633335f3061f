"""The encoders that are compared: shipped ones by name, and any weights of the same network by file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import Misconfigured
from app.settings import Settings

if TYPE_CHECKING:
    import torch

    from models.face.encode import FaceEncoder

ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="a shipped encoder, or a safetensors file of its network; several are compared"),
]
OneModelOption = Annotated[
    str | None, typer.Option("--model", help="a shipped encoder, or a safetensors file of its network; default: as set")
]
FlipOption = Annotated[bool | None, typer.Option("--flip/--no-flip", help="flip averaging; default: as set")]


@dataclass(frozen=True, slots=True)
class Contender:
    """An encoder as it is compared. title: unique among those compared; precision: what it runs in, by name."""

    title: str
    model_id: str
    weights: str | Path
    precision: str
    flip: bool
    device: str
    dtype: "torch.dtype" = field(repr=False)

    def open(self) -> "FaceEncoder":
        """Loads it. Raises WeightsError."""
        from models.face.encode import open_encoder

        return open_encoder(self.weights, precision=self.dtype, flip=self.flip, device=self.device)


def contenders(names: Sequence[str] | None, settings: Settings, flip: bool | None = None) -> list[Contender]:
    """Those that were named, the one that serves when none was.

    The precision is the setting's; `auto` is measured on the first and then asked of the others, so that all run in the
    same, but for one that it would change too much. Raises Misconfigured for a name that is nothing, WeightsError.
    """
    import torch

    from models import weights
    from models.face.encode import choose_precision

    # Each thread that encodes is one of several, as in the service: the precision is measured as it will run.
    torch.set_num_threads(1)
    flip, device = settings.flip_averaging if flip is None else flip, _device(settings)
    wanted: str = settings.precision
    found: list[Contender] = []
    for name in names or [settings.model]:
        held = known_weights(name, settings)
        load = lambda held=held: weights.load(held)  # noqa: E731
        chosen = choose_precision(load, weights.sample_crops(), device=device, wanted=wanted)
        wanted = settings.precision if settings.precision != "auto" else _asked(chosen.name)
        model_id = weights.model_id(held, flip=flip)
        title = held.stem if isinstance(held, Path) else held
        if any(title == other.title for other in found):
            title = model_id
        found.append(Contender(title, model_id, held, chosen.name, flip, device, chosen.dtype))
    return found


def _asked(name: str) -> str:
    # float16 is what `auto` takes on CUDA, and cannot be asked for by name.
    return name if name in ("float32", "bfloat16") else "auto"


def known_weights(name: str, settings: Settings) -> str | Path:
    """The encoder of that name, shipped or in the folder of the settings, or the file. Raises Misconfigured."""
    from models import weights

    if settings.weights is not None:
        weights.look_in(settings.weights)
    known = weights.encoders()
    if name in known:
        return name
    if Path(name).is_file():
        return Path(name)
    raise Misconfigured(f"--model {name}: neither an encoder that is here ({', '.join(known)}) nor a file of weights")


def _device(settings: Settings) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if settings.device == "auto" else settings.device
