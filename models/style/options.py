"""What a render may be told, checked as soon as it is said."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from models.errors import InvalidOption

MediumName = Literal["picture", "sound", "volume", "points"]
Convention = Literal["gatys2015", "gatys_pytorch", "johnson"]
MOST_STEPS, MOST_STYLES, LARGEST_SIZE = 20_000, 4, 16_384
CHOICES: dict[str, tuple[str, ...]] = {
    "medium": get_args(MediumName),
    "init": ("content", "noise"),
    "optimizer": ("lbfgs", "adam", "gd"),
    "color": ("style", "content", "match"),
    "loss_convention": get_args(Convention),
}
# Least and greatest of each number.
RANGES = {
    "size": (16, LARGEST_SIZE),
    "steps": (1, MOST_STEPS),
    "extra": (0, MOST_STEPS),
    "alpha": (0.0, 1e12),
    "beta": (0.0, 1e18),
    "tv": (0.0, 1e12),
    "seed": (0, 2**53),
}
_WHOLE = ("size", "steps", "extra", "seed")
_MAY_BE_NONE = ("medium", "size", "beta", "layers", "optimizer")


@dataclass(frozen=True, slots=True)
class Options:
    """medium: None: read from the file. size: picture: longer side in pixels; volume: longest axis in voxels; points:
    cells of the grid; sound: none. extra: steps that go on at the last scale, for a render that is resumed. beta:
    None: the convention's own for that size. style_weights, style_scales: one a style; empty: alike. layers: layer ->
    lambda. optimizer: None: what suits the medium. color: whose colours; `match` gives the style the content's before,
    `content` takes only the brightness of the render. masks: a picture a style, white where it applies; in files.
    """

    medium: MediumName | None = None
    size: int | None = None
    steps: int = 300
    extra: int = 0
    alpha: float = 1.0
    beta: float | None = None
    style_weights: tuple[float, ...] = ()
    style_scales: tuple[float, ...] = ()
    layers: Mapping[str, float] | None = None
    init: Literal["content", "noise"] = "content"
    optimizer: Literal["lbfgs", "adam", "gd"] | None = None
    color: Literal["style", "content", "match"] = "style"
    tv: float = 0.0
    seed: int = 0
    masks: tuple[bytes | None, ...] = ()
    loss_convention: Convention = "gatys2015"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Options":
        """From JSON values, masks being base64. Raises InvalidOption, which names the option and what it may be."""
        known = {field.name for field in fields(cls)}
        for name in given:
            if name not in known:
                raise InvalidOption(name, f"There is no option {name!r}: there are {', '.join(sorted(known))}.")
        values = {name: _checked(name, value) for name, value in given.items()}
        options = cls(**values)
        if options.alpha == 0 and options.beta == 0:
            raise InvalidOption("beta", "alpha and beta are both 0: nothing would be wanted of the render.")
        return options

    def as_json(self) -> dict[str, Any]:
        """What `of` takes."""
        values = asdict(self)
        values["masks"] = [None if mask is None else base64.b64encode(mask).decode() for mask in self.masks]
        values["style_weights"], values["style_scales"] = list(self.style_weights), list(self.style_scales)
        values["layers"] = None if self.layers is None else dict(self.layers)
        return values

    def for_styles(self, count: int) -> "Options":
        """Itself, once its lists fit so many styles. Raises InvalidOption."""
        if not 1 <= count <= MOST_STYLES:
            raise InvalidOption("style", f"A render takes 1 to {MOST_STYLES} styles, and there are {count}.")
        for name in ("style_weights", "style_scales", "masks"):
            told = len(getattr(self, name))
            if told not in (0, count):
                raise InvalidOption(name, f"{name} has {told} entries for {count} styles: give one for each, or none.")
        return self


def _checked(name: str, value: Any) -> Any:
    if value is None:
        if name in _MAY_BE_NONE:
            return None
        raise InvalidOption(name, f"{name} cannot be null: leave it out for its default.")
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise InvalidOption(name, f"{name} is one of {', '.join(CHOICES[name])}.")
        return value
    if name in RANGES:
        return _number(name, value, *RANGES[name], whole=name in _WHOLE)
    if name == "layers":
        return _layers(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) > MOST_STYLES:
        raise InvalidOption(name, f"{name} is a list of at most {MOST_STYLES} entries, one for each style.")
    if name == "masks":
        return tuple(_mask(mask) for mask in value)
    return tuple(_number(name, number, 1e-3, 1e3) for number in value)


def _number(name: str, value: Any, least: float, greatest: float, *, whole: bool = False) -> float | int:
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if not right or isinstance(value, bool) or not least <= value <= greatest:  # NaN is neither
        kind = "a whole number" if whole else "a number"
        raise InvalidOption(name, f"{name} is {kind} from {least:,} to {greatest:,}.")
    return int(value) if whole else float(value)


def _layers(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value or not all(isinstance(name, str) for name in value):
        raise InvalidOption("layers", 'layers is an object of layer and weight, such as {"conv1_1": 0.2}.')
    found = {str(name): float(_number("layers", weight, 0.0, 1e12)) for name, weight in value.items()}
    if not any(found.values()):
        raise InvalidOption("layers", "every layer weighs 0: leave layers out for the usual five.")
    return found


def _mask(mask: Any) -> bytes | None:
    if mask is None or isinstance(mask, bytes):
        return mask
    try:
        return base64.b64decode(mask, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InvalidOption("masks", "a mask is a picture file in base64, or null for everywhere.") from None
