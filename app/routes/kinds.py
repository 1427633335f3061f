"""Kinds of field: which JSON or text may stand for a number, a list, a time; ValueError says what is allowed."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LONGEST_ITEM = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """from_json: JSON value -> value; from_text: the text in a form or a query -> value; schema: JSON schema.

    repeated: a form or a query may send it several times, and `from_json` takes the list of texts.
    """

    from_json: Callable[[Any], Any]
    from_text: Callable[[str], Any]
    schema: dict[str, Any]
    repeated: bool = False


def text(longest: int = 200) -> Kind:
    """Text; the action checks what is in it."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("It must be text.")
        # Far above the exact limit, which counts composed characters: nothing costly is done to a giant.
        if len(value) > 4 * longest:
            raise ValueError(f"At most {longest} characters are allowed.")
        _refuse_nul(value)
        return value

    return Kind(read, read, {"type": "string", "minLength": 1, "maxLength": longest})


def share(*, above_zero: bool = False) -> Kind:
    """A number from 0 to 1, or above 0 and up to 1."""
    allowed = "It must be a number above 0 and up to 1." if above_zero else "It must be a number from 0 to 1."

    def read(value: Any) -> float:
        number = not isinstance(value, bool) and isinstance(value, int | float)
        # NaN fails the comparison; an integer of many digits is compared before it would become a float.
        if not number or not 0 <= value <= 1 or (above_zero and value == 0):
            raise ValueError(allowed)
        return float(value)

    def from_text(value: str) -> float:
        try:
            return read(float(value))
        except ValueError:
            raise ValueError(allowed) from None

    return Kind(read, from_text, {"type": "number", "exclusiveMinimum" if above_zero else "minimum": 0, "maximum": 1})


def whole(low: int, high: int) -> Kind:
    """An integer from `low` to `high`."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"It must be a whole number from {low} to {high}.")
        return value

    def from_text(value: str) -> int:
        return read(int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else math.nan)

    return Kind(read, from_text, {"type": "integer", "minimum": low, "maximum": high})


def flag() -> Kind:
    """True or false."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("It must be true or false.")
        return value

    return Kind(read, lambda value: read({"true": True, "false": False}.get(value)), {"type": "boolean"})


def choice(*options: str) -> Kind:
    """One of some words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in options:
            raise ValueError(f"It must be one of: {', '.join(options)}.")
        return value

    return Kind(read, read, {"type": "string", "enum": list(options)})


def texts(most: int = 50) -> Kind:
    """A list of texts: a repeated field, or a JSON array."""

    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(x, str) and len(x) <= LONGEST_ITEM for x in value):
            raise ValueError("It must be a list of texts.")
        if len(value) > most:
            raise ValueError(f"At most {most} are allowed.")
        _refuse_nul("".join(value))
        return tuple(value)

    schema = {"type": "array", "items": {"type": "string"}, "maxItems": most}
    return Kind(read, lambda value: read([value]), schema, repeated=True)


def json_object() -> Kind:
    """A JSON object; in a form or a query as JSON text."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("It must be a JSON object.")
        return value

    def from_text(value: str) -> dict[str, Any]:
        try:
            return read(strict_json(value))
        except (ValueError, RecursionError):
            raise ValueError("It must be a JSON object.") from None

    return Kind(read, from_text, {"type": "object"})


def time() -> Kind:
    """A time with its zone, RFC 3339."""
    refusal = "It must be a time with its zone, such as 2030-01-31T08:00:00Z."

    def read(value: Any) -> datetime:
        if not isinstance(value, str) or value[10:11].upper() != "T":
            raise ValueError(refusal)
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            raise ValueError(refusal) from None
        if moment.tzinfo is None:
            raise ValueError(refusal)
        return moment

    return Kind(read, read, {"type": "string", "format": "date-time"})


def strict_json(text: str | bytes) -> Any:
    """JSON as the standard has it: no NaN, no field twice. Raises ValueError, RecursionError."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("a field stands twice in one object")
    return built


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refuse_nul(value: str) -> None:
    # PostgreSQL cannot even be asked for one.
    if "\0" in value:
        raise ValueError("The character NUL is not allowed.")
