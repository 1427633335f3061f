"""Bulk enrolment: what a batch holds, photo by photo, and what became of each."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ItemStatus = Literal["pending", "enrolled", "template", "before", "checked", "refused", "erased"]

# enrolled: somebody new; template: one more look at somebody; before: the same photo was stored by an earlier batch;
# checked: a dry run that would have gone through; erased: the person was erased, and nothing of the photo is kept.
STATUSES: tuple[ItemStatus, ...] = ("pending", "enrolled", "template", "before", "checked", "refused", "erased")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a photo lies in the file of a batch, in bytes from its beginning.

    begin..end: all that belongs to it, its name included; data..end: as stored, deflated or not; size: unpacked bytes;
    crc: CRC-32 of those, or None where the file gives none.
    """

    begin: int
    data: int
    end: int
    size: int
    crc: int | None = None
    deflated: bool = False


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One photo of a batch, or one line.

    number: from 0, in the order of work; person: the number of its person in the batch, the same for all photos of one
    folder; source: `folder/photo` or `line 17`, empty once the person was erased; person_id: who it was enrolled as, or
    for `duplicate_person` whom it looks like; members: further members of the problem, nothing of anybody else.
    """

    number: int
    person: int
    source: str
    status: ItemStatus = "pending"
    person_id: str | None = None
    template_id: str | None = None
    code: str | None = None
    detail: str | None = None
    members: Mapping[str, Any] | None = None
    place: Place | None = None

    @property
    def folder(self) -> str:
        """The folder's name, for a photo in one."""
        return self.source.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item; the fields are those of the item."""

    status: ItemStatus
    person_id: str | None = None
    template_id: str | None = None
    code: str | None = None
    detail: str | None = None
    members: Mapping[str, Any] | None = None


def by_numbers(name: str) -> list[tuple[int, str]]:
    """A key that sorts 2.jpg before 10.jpg."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name[:300])]


def photo_digest(folder: str, content: bytes) -> str:
    """64 hex digits that stand for that content in that person's folder."""
    whose = folder.encode("utf-8", "surrogateescape")
    return hashlib.sha256(len(whose).to_bytes(4, "big") + whose + content).hexdigest()
