"""What may be said of a person: checks of each field, before anything is read or stored. Raises InvalidField."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.domain.gallery import EVERYBODY
from app.errors import InvalidField

LONGEST_NAME = 200
LONGEST_TEXT = 2000
LONGEST_METADATA_BYTES = 4096
DEEPEST_METADATA = 16
MOST_GROUPS = 50
# What the ids of erasure receipts begin with, before an underscore.
RECEIPT = "era"

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~@:-]{0,99}")
# Overrides of the writing direction make one name look like another on a screen; joiners are part of real names.
_DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_id(text: str) -> bool:
    """Whether `text` could be the id of anything: 1..100 letters, digits and . _ ~ @ : -, not a dot first."""
    return _ID.fullmatch(text) is not None


def person_id(text: str) -> str:
    """An id chosen by the caller."""
    if not is_id(text):
        raise InvalidField(
            "person_id", "1 to 100 letters, digits and . _ ~ @ : - are allowed, the first no punctuation."
        )
    if text.startswith(f"{RECEIPT}_"):
        # A receipt is found by its own id or by the person's: no text may be both.
        raise InvalidField("person_id", f"It must not begin with {RECEIPT}_, as the ids of erasure receipts do.")
    return text


def gallery_id(text: str) -> str:
    """An id chosen for a gallery."""
    if not is_id(text) or text == EVERYBODY:
        raise InvalidField("id", f"1 to 100 letters, digits and . _ ~ @ : - are allowed, and not `{EVERYBODY}`.")
    return text


def line(field: str, text: str, longest: int = LONGEST_NAME) -> str:
    """One line of text, trimmed and in Unicode's composed form: 1..`longest` characters."""
    text = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(text) <= longest:
        raise InvalidField(field, f"1 to {longest} characters are allowed.")
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in _DIRECTION_OVERRIDES for c in text):
        raise InvalidField(field, "Control characters are not allowed.")
    return text


def line_or_none(field: str, text: str | None, longest: int = LONGEST_NAME) -> str | None:
    """The same, where there need be none."""
    return None if text is None else line(field, text, longest)


def groups(names: Sequence[str]) -> tuple[str, ...]:
    """Names of groups, at most 50, each once, in the order given."""
    if len(names) > MOST_GROUPS:
        raise InvalidField("groups", f"At most {MOST_GROUPS} groups are allowed.")
    return tuple(dict.fromkeys(line("groups", name) for name in names))


def metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object of at most 4 KiB and 16 levels."""
    _refuse_depth_and_nul(facts)
    try:
        size = len(json.dumps(dict(facts), ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError):  # a number that JSON lacks, or half of a surrogate pair
        raise InvalidField("metadata", "It must be a JSON object of proper text and finite numbers.") from None
    if size > LONGEST_METADATA_BYTES:
        raise InvalidField("metadata", f"At most {LONGEST_METADATA_BYTES} bytes are allowed.")
    return dict(facts)


def validity(valid_from: datetime | None, valid_until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Both in UTC; the end after the beginning."""
    start, end = in_utc("valid_from", valid_from), in_utc("valid_until", valid_until)
    if start is not None and end is not None and end <= start:
        raise InvalidField("valid_until", "It must be later than valid_from.")
    return start, end


def in_utc(field: str, time: datetime | None) -> datetime | None:
    """A time that has a zone, in UTC."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise InvalidField(field, "The time needs a zone, such as Z.")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidField(field, "The time lies outside the years 1 to 9999.") from None


def _refuse_depth_and_nul(facts: Mapping[str, Any]) -> None:
    # Level by level and not by recursion: a hostile object is deep.
    level: list[Any] = [facts]
    for _ in range(DEEPEST_METADATA):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner.extend(item.keys())
                inner.extend(item.values())
            elif isinstance(item, list | tuple):
                inner.extend(item)
            elif isinstance(item, str) and "\0" in item:
                raise InvalidField("metadata", "The character NUL is not allowed.")
        if not inner:
            return
        level = inner
    raise InvalidField("metadata", f"At most {DEEPEST_METADATA} levels are allowed.")
