"""The audit trail: what is written down of each act, and the bytes that the chain goes over."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from app.domain.actor import current_actor

# What the first row of all is chained to.
GENESIS = bytes(32)
MAC_BYTES, SIGNATURE_BYTES = 32, 64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = b"onelook audit row v1"
_NONE = b"\xff\xff\xff\xff"
# Made once: `json.dumps` makes one at each call.
_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Entry:
    """An act, before it has its place in the trail. ValueError or TypeError where `facts` cannot be told in JSON.

    facts lie in clear and for ever: nothing that tells of a person. `person_id` and `private` (similarity, template)
    are sealed under that person's key, which erasing destroys. seen: the person was recognized at that time.
    """

    action: str
    at: datetime
    outcome: str = "ok"
    person_id: str | None = None
    private: Mapping[str, Any] = field(default_factory=dict, repr=False)
    gallery: str | None = None
    door: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    seen: bool = False
    actor: str = field(default_factory=current_actor)

    def __post_init__(self) -> None:
        # Here, where the mistake is made, and not later in the thread that writes.
        as_json(self.facts)
        as_json(self.private)
        if self.at.tzinfo is None:
            raise ValueError("a time without a zone cannot be written down")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the trail as stored; `mac` chains it to the row before. key_id and sealed: what tells of a person."""

    seq: int
    at: datetime
    actor: str
    action: str
    outcome: str
    gallery: str | None
    door: str | None
    facts: Mapping[str, Any]
    subject: str | None
    key_id: str | None
    sealed: bytes | None = field(repr=False)
    mac: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row whose columns are not even of their types; `mac` is what can still be read of it, or nothing."""

    seq: int
    mac: bytes = b""


@dataclass(frozen=True, slots=True)
class Record:
    """A row as it is shown. person_id is None where the row is of nobody, or the person's key is gone: `shredded`."""

    line: Line
    person_id: str | None = None
    private: Mapping[str, Any] = field(default_factory=dict, repr=False)
    shredded: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: the row `seq` has that mac. (0, GENESIS) lies before the first row."""

    seq: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the trail begins after its oldest rows were let go: the last of those, signed."""

    seq: int
    at: datetime
    mac: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last row at some moment, signed, to be kept elsewhere."""

    seq: int
    mac: bytes
    signature: bytes

    @property
    def token(self) -> str:
        """`<seq>.<mac>.<signature>`, both in hexadecimal: one word for a file or a query."""
        return f"{self.seq}.{self.mac.hex()}.{self.signature.hex()}"

    @classmethod
    def from_token(cls, token: str) -> Self:
        """The head that such a word says; whether the signature is good is another matter. Raises ValueError."""
        seq, mac, signature = token.strip().split(".")
        if not (seq.isascii() and seq.isdecimal() and len(seq) < 19):
            raise ValueError("no sequence number")
        head = cls(int(seq), bytes.fromhex(mac), bytes.fromhex(signature))
        if len(head.mac) != MAC_BYTES or len(head.signature) != SIGNATURE_BYTES:
            raise ValueError("a part has another length")
        return head


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows a list shows; None: all. since <= at < until; galleries: only rows of one of these."""

    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    person_id: str | None = None
    galleries: frozenset[str] | None = None


def as_json(facts: Mapping[str, Any]) -> str:
    """The one text of these facts. ValueError for NaN and infinity, TypeError for what JSON lacks."""
    return _ENCODER.encode(dict(facts))


def canonical(line: Line) -> bytes:
    """Every column but `mac`, each with its length in front. TypeError or ValueError where one is of another type."""
    texts = (line.actor, line.action, line.outcome, line.gallery, line.door, as_json(line.facts), line.subject)
    told: list[bytes | None] = [
        _FORM,
        line.seq.to_bytes(8, "big"),
        ((line.at - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True),
    ]
    told += [None if text is None else str.encode(text) for text in (*texts, line.key_id)]
    told.append(line.sealed)
    parts: list[bytes] = []
    for part in told:
        if part is None:
            parts.append(_NONE)
        else:
            parts += (len(part).to_bytes(4, "big"), part)
    return b"".join(parts)
