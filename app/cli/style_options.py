"""The flags of `onelook style`: their names, defaults, choices and ranges are those of the engine's options."""

import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from app.cli.plainly import UNUSABLE, told
from models.errors import InvalidOption
from models.style.options import RANGES, Options

Verb = TypeVar("Verb", bound=Callable[..., None])

# Options whose flags have another name, for they are given once a style, a layer, or are long.
FLAGS = {
    "style_weights": "weight",
    "style_scales": "scale",
    "layers": "layer",
    "masks": "mask",
    "loss_convention": "convention",
}
# What is no flag: --resume with more --steps says it.
UNSAID = ("extra",)
EVERYWHERE = "none"
HELP = {
    "medium": "what the content is; default: as its file says",
    "size": "longer side in pixels; of volumes the longest axis in voxels, of points the cells of the grid",
    "steps": "steps of the optimiser, over all scales",
    "alpha": "weight of the content",
    "beta": "weight of the style; default: the convention's own, for that size",
    "style_weights": "weight of a style; once a style, in their order",
    "style_scales": "size of a style's textures, 1 as drawn beside the content; once a style",
    "layers": "a style layer and its weight, such as conv3_1=0.5; each that counts; default: five of 1/5",
    "init": "what the render begins with",
    "optimizer": "how it gets better; default: what suits the medium",
    "color": "whose colours; `match` gives the style the content's, `content` keeps the content's own",
    "tv": "weight of smoothness (total variation)",
    "seed": "of whatever is drawn by chance",
    "masks": f"a picture, white where that style applies, or `{EVERYWHERE}`; once a style",
    "loss_convention": "whose formulas the losses follow",
}


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. masks: as they were typed."""

    content: Path
    styles: tuple[Path, ...]
    out: Path
    options: Options
    masks: tuple[str, ...] = ()
    weights: Path | None = None
    memory_mib: int | None = None
    threads: int | None = None

    def inputs(self) -> list[Path]:
        """Every file that is read."""
        masks = [Path(mask) for mask in self.masks if mask != EVERYWHERE]
        return [self.content, *self.styles, *masks, *([] if self.weights is None else [self.weights])]

    def command(self, out: Path, options: Options, *more: str) -> str:
        """The command line that renders this with those options to that file."""
        words = ["onelook", "style", str(self.content)]
        words += [word for path in self.styles for word in ("--style", str(path))]
        words += ["--out", str(out), *_words(options, self.masks)]
        for flag, value in (("weights", self.weights), ("memory", self.memory_mib), ("threads", self.threads)):
            words += [] if value is None else [f"--{flag}", str(value)]
        return shlex.join([*words, *more])


def with_options(verb: Verb) -> Verb:
    """Gives the verb, in place of its `**given`, a flag for each option of the engine."""
    own = [each for each in inspect.signature(verb).parameters.values() if each.kind is not each.VAR_KEYWORD]
    verb.__signature__ = inspect.Signature([*own, *_parameters()])  # type: ignore[attr-defined]
    return verb


def flag_of(option: str) -> str:
    """The flag, with its dashes, that sets an option of the engine."""
    return f"--{FLAGS.get(option, option)}"


def options_of(given: Mapping[str, Any]) -> Options:
    """The options that the flags mean; masks are read. Raises typer.Exit for what they cannot be, and OSError."""
    values = {name: value for name, value in given.items() if value not in (None, [], ())}
    if "masks" in values:
        values["masks"] = [None if mask == EVERYWHERE else Path(mask).read_bytes() for mask in values["masks"]]
    if "layers" in values:
        values["layers"] = dict(_layer(text) for text in values["layers"])
    try:
        return Options.of(values)
    except InvalidOption as e:
        raise refused(e) from e


def refused(error: InvalidOption) -> typer.Exit:
    """Tells of an option by the name of its flag; to be raised."""
    return told(f"{flag_of(error.option)}: {error}", UNUSABLE)


def _parameters() -> Iterator[inspect.Parameter]:
    kinds = get_type_hints(Options)
    for option in fields(Options):
        if option.name in UNSAID:
            continue
        kind, default = kinds[option.name], option.default
        limits: dict[str, Any] = dict(zip(("min", "max"), RANGES.get(option.name, ()), strict=False))
        if option.name in ("style_weights", "style_scales"):
            kind, default = list[float], []
        elif option.name in ("layers", "masks"):
            kind, default = list[str], []
        flag = typer.Option(flag_of(option.name), help=HELP.get(option.name), **limits)
        yield inspect.Parameter(
            option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, flag]
        )


def _layer(text: str) -> tuple[str, float]:
    name, _, weight = text.partition("=")
    try:
        return name.strip(), float(weight)
    except ValueError:
        raise told(f"--layer {text}: give a layer and its weight, such as conv3_1=0.5", UNUSABLE) from None


def _words(options: Options, masks: Sequence[str]) -> list[str]:
    """The flags of whatever is not as it would be anyway."""
    words: list[str] = []
    for option in fields(Options):
        value, flag = getattr(options, option.name), flag_of(option.name)
        if option.name in UNSAID or value == option.default:
            continue
        if option.name == "masks":
            values = list(masks)
        elif isinstance(value, Mapping):
            values = [f"{name}={_written(weight)}" for name, weight in value.items()]
        else:
            values = [_written(each) for each in (value if isinstance(value, tuple) else (value,))]
        words += [word for each in values for word in (flag, each)]
    return words


def _written(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
