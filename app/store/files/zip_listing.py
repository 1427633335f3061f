"""What a zip holds, read from its directory without trusting it: entry by entry, never the whole of it in memory.

The reader of Python's own library reads the directory in one piece, follows entries that share bytes, and takes a
file's word for the size of what it unpacks; a batch comes from outside.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from app.errors import BatchTooLarge, UnreadableBatch

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_FULL, _FULL_SHORT = 0xFFFFFFFF, 0xFFFF
_ENCRYPTED, _STRONGLY, _MASKED, _UTF_8 = 0x1, 0x40, 0x2000, 0x800
_LINK, _FILE_TYPES = 0o120000, 0o170000
_NO_ZIP = "The body is no zip, or it is cut short: send the file as it was made."


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its path as the zip has it, and its bytes begin..end, of which data..end are the content as stored."""

    path: str
    begin: int
    data: int
    end: int
    size: int
    crc: int
    method: int
    encrypted: bool
    link: bool


class _Directory(NamedTuple):
    entries: int
    begin: int
    end: int


def list_zip(file: BinaryIO, *, most: int) -> tuple[list[Entry], int]:
    """The entries in the order of the directory, and where the directory begins.

    `most` entries at most, else BatchTooLarge. Raises UnreadableBatch for what is no zip, is cut short, is spread over
    several files, has something before it, or has entries that share bytes.
    """
    directory = _find_directory(file)
    if directory.entries > most:
        raise BatchTooLarge(f"The zip has {directory.entries} entries, and {most} are allowed: send it in parts.")
    entries = list(_entries(file, directory))
    behind = 0
    for entry in sorted(entries, key=lambda one: one.begin):
        if entry.begin < behind or entry.end > directory.begin:
            raise UnreadableBatch("Entries of the zip share bytes: make it anew.")
        behind = entry.end
    return entries, directory.begin


def _find_directory(file: BinaryIO) -> _Directory:
    size = file.seek(0, os.SEEK_END)
    tail_at = max(0, size - _END.size - _LONGEST_COMMENT)
    tail = _read(file, tail_at, size - tail_at)
    at = _last_record(tail)
    _, disk, first_disk, here, count, length, begin, _ = _END.unpack_from(tail, at)
    end = tail_at + at
    if _FULL in (length, begin) or count == _FULL_SHORT:
        disk, first_disk, here, count, length, begin, end = _large(file, end)
    if disk or first_disk or here != count:
        raise UnreadableBatch("The zip is spread over several files: make it anew as one.")
    if begin + length != end:
        raise UnreadableBatch(_NO_ZIP)
    return _Directory(count, begin, end)


def _last_record(tail: bytes) -> int:
    """Where the record begins whose comment ends with the file: a comment may look like a record itself."""
    at = len(tail)
    while (at := tail.rfind(b"PK\5\6", 0, at)) >= 0:
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            return at
    raise UnreadableBatch(_NO_ZIP)


def _large(file: BinaryIO, end: int) -> tuple[int, int, int, int, int, int, int]:
    """The same facts from the records that large zips have before the last one."""
    locator_at = end - _LOCATOR_64.size
    if locator_at < 0:
        raise UnreadableBatch(_NO_ZIP)
    mark, _, at, _ = _LOCATOR_64.unpack(_read(file, locator_at, _LOCATOR_64.size))
    if mark != b"PK\6\7" or at + _END_64.size > locator_at:
        raise UnreadableBatch(_NO_ZIP)
    mark, _, _, _, disk, first_disk, here, count, length, begin = _END_64.unpack(_read(file, at, _END_64.size))
    if mark != b"PK\6\6":
        raise UnreadableBatch(_NO_ZIP)
    return disk, first_disk, here, count, length, begin, at


def _entries(file: BinaryIO, directory: _Directory) -> Iterator[Entry]:
    at = directory.begin
    for _ in range(directory.entries):
        if at + _ENTRY.size > directory.end:
            raise UnreadableBatch(_NO_ZIP)
        fields = _ENTRY.unpack(_read(file, at, _ENTRY.size))
        name_length, extra_length, comment_length = fields[10:13]
        behind = at + _ENTRY.size + name_length + extra_length + comment_length
        if fields[0] != b"PK\1\2" or behind > directory.end:
            raise UnreadableBatch(_NO_ZIP)
        name = _read(file, at + _ENTRY.size, name_length)
        extra = _read(file, at + _ENTRY.size + name_length, extra_length)
        yield _entry(file, fields, name, extra)
        at = behind


def _entry(file: BinaryIO, fields: tuple[int, ...], name: bytes, extra: bytes) -> Entry:
    _, made_by, _, flags, method, _, _, crc, packed, size, *_, outer, begin = fields
    size, packed, begin = _large_numbers(extra, size, packed, begin)
    local = _read(file, begin, _LOCAL.size)
    if len(local) < _LOCAL.size:
        raise UnreadableBatch(_NO_ZIP)
    mark, *_, name_length, extra_length = _LOCAL.unpack(local)
    if mark != b"PK\3\4" or _read(file, begin + _LOCAL.size, name_length) != name:
        raise UnreadableBatch("The zip's directory and its entries do not agree: make it anew.")
    data = begin + _LOCAL.size + name_length + extra_length
    unix = made_by >> 8 == 3
    return Entry(
        path=_text(name, flags),
        begin=begin,
        data=data,
        end=data + packed,
        size=size,
        crc=crc,
        method=method,
        encrypted=bool(flags & (_ENCRYPTED | _STRONGLY | _MASKED)),
        link=unix and (outer >> 16) & _FILE_TYPES == _LINK,
    )


def _large_numbers(extra: bytes, size: int, packed: int, begin: int) -> tuple[int, int, int]:
    """The numbers that do not fit 32 bits stand in an extra field, in this order."""
    numbers = [size, packed, begin]
    at = 0
    while _FULL in numbers and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == 1 and at + length <= len(extra):
            wide = iter(struct.iter_unpack("<Q", extra[at : at + length // 8 * 8]))
            numbers = [next(wide, (_FULL,))[0] if number == _FULL else number for number in numbers]
            break
        at += length
    return numbers[0], numbers[1], numbers[2]


def _text(name: bytes, flags: int) -> str:
    if not flags & _UTF_8:
        try:
            return name.decode()
        except UnicodeDecodeError:
            return name.decode("cp437")
    return name.decode("utf-8", "replace")


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
