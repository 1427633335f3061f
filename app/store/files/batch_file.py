"""The file of a batch -> its items, each with the place of its photo; what cannot be taken is refused item by item."""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from app.domain.batch import BatchItem, Place, by_numbers
from app.errors import BatchTooLarge, UnreadableBatch, UnreadableEntry
from app.store.files.zip_listing import DEFLATED, STORED, Entry, list_zip

MIB = 1024 * 1024
LONGEST_SOURCE = 300
# What a file packer may add to what it cannot shrink.
PACKING_BYTES = 64 * 1024
# Beside the photo in base64 a line holds a person's particulars.
FIELDS_BYTES = 64 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffd]")
_DRIVE = re.compile(r"[A-Za-z]:")
_OF_SYSTEMS = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class Limits:
    """Items of one batch, bytes of one photo, and bytes of all of them unpacked."""

    items: int
    photo_bytes: int
    bytes: int

    @property
    def line_bytes(self) -> int:
        """The longest line."""
        return 4 * (self.photo_bytes // 3 + 1) + FIELDS_BYTES


def list_folders(file: BinaryIO, limits: Limits) -> tuple[list[BatchItem], int]:
    """The items of a zip of `person/photo`, person by person in natural order, and where the zip's directory begins.

    A folder around all of them is passed over; so are folders, hidden files and what systems leave behind. Raises
    UnreadableBatch, BatchTooLarge.
    """
    entries, directory_at = list_zip(file, most=limits.items)
    wanted = [
        (parts, entry) for entry in entries if (parts := _parts(entry.path)) and not _is_passed_over(parts, entry)
    ]
    if sum(entry.size for _, entry in wanted) > limits.bytes:
        raise BatchTooLarge(f"The zip holds more than {limits.bytes} bytes unpacked: send it in parts.")
    around = _common_folder([parts for parts, _ in wanted])
    paths = [("/".join(parts[around:]), entry) for parts, entry in wanted]
    if not paths:
        raise UnreadableBatch("The zip holds no photo: make a folder for each person, Ada/1.jpg.")
    repeated = {path for path, count in Counter(path for path, _ in paths).items() if count > 1}
    paths.sort(key=lambda one: [(by_numbers(part), part) for part in one[0].split("/")])
    return list(_items(paths, repeated, limits)), directory_at


def list_lines(file: BinaryIO, limits: Limits) -> list[BatchItem]:
    """The items of a file of lines, one a line that is not blank. Raises UnreadableBatch, BatchTooLarge."""
    items: list[BatchItem] = []
    file.seek(0)
    begin, number = 0, 0
    while line := file.readline(limits.line_bytes + 1):
        number += 1
        end = begin + len(line)
        too_long = len(line) > limits.line_bytes and not line.endswith(b"\n")
        while too_long and (rest := file.readline(MIB)):
            end += len(rest)
            if rest.endswith(b"\n"):
                break
        if too_long or line.strip():
            if len(items) >= limits.items:
                raise BatchTooLarge(f"The body has more than {limits.items} lines: send it in parts.")
            items.append(_line(number, len(items), Place(begin, begin, end, end - begin), too_long, limits))
        begin = end
    if not items:
        raise UnreadableBatch("The body holds no line: send one JSON object a line.")
    return items


def unpacked(stored: bytes, place: Place) -> bytes:
    """The photo from the bytes data..end of its place. Raises UnreadableEntry where they are damaged."""
    content = stored
    if place.deflated:
        try:
            # One byte more than it says: what unpacks to more is not unpacked.
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, place.size + 1)
        except zlib.error:
            raise UnreadableEntry from None
    if len(content) != place.size or (place.crc is not None and zlib.crc32(content) != place.crc):
        raise UnreadableEntry
    return content


def _items(paths: Sequence[tuple[str, Entry]], repeated: set[str], limits: Limits) -> Iterator[BatchItem]:
    people: dict[str, int] = {}
    for number, (path, entry) in enumerate(paths):
        against = _against(path, entry, repeated, limits)
        # What is refused belongs to nobody's photos: each stands alone.
        person = number if against else people.setdefault(path.partition("/")[0], number)
        shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", path)[:LONGEST_SOURCE]
        place = Place(entry.begin, entry.data, entry.end, entry.size, entry.crc, entry.method == DEFLATED)
        if against:
            yield BatchItem(number, person, shown, "refused", code=against[0], detail=against[1], place=place)
        else:
            yield BatchItem(number, person, shown, place=place)


def _against(path: str, entry: Entry, repeated: set[str], limits: Limits) -> tuple[str, str] | None:
    """Code and detail of what stands against taking that entry, or None."""
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or _DRIVE.match(path) or _CONTROL.search(path) or entry.link:
        return "bad_path", "The path must be relative, without `..`, of proper text, and no link."
    if len(parts) != 2:
        return "misplaced", "Photos lie in a person's folder, one level deep."
    if len(path) > LONGEST_SOURCE:
        return "bad_path", f"The path has more than {LONGEST_SOURCE} characters."
    if path in repeated:
        return "repeated_path", "The zip holds that path more than once."
    if entry.encrypted:
        return "encrypted", "The entry is encrypted: send the zip without a password."
    if entry.method not in (STORED, DEFLATED):
        return "unreadable_image", "The entry is packed in a way that is not read: store or deflate it."
    if entry.size > limits.photo_bytes or entry.end - entry.data > limits.photo_bytes + PACKING_BYTES:
        return "body_too_large", f"The photo has more than {limits.photo_bytes} bytes: send a smaller one."
    return None


def _line(number: int, item: int, place: Place, too_long: bool, limits: Limits) -> BatchItem:
    source = f"line {number}"
    if not too_long:
        return BatchItem(item, item, source, place=place)
    detail = f"The line has more than {limits.line_bytes} bytes: send a smaller photo."
    return BatchItem(item, item, source, "refused", code="body_too_large", detail=detail, place=place)


def _parts(path: str) -> list[str]:
    # Some packers on Windows write its own separator.
    return path.replace("\\", "/").split("/")


def _is_passed_over(parts: Sequence[str], entry: Entry) -> bool:
    if parts[-1] == "":
        return True
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts)
    return hidden or parts[0] in _OF_SYSTEMS or parts[-1] in _OF_SYSTEMS


def _common_folder(paths: Sequence[Sequence[str]]) -> int:
    """1 where all lie in one folder around the persons' folders, else 0."""
    deep = all(len(parts) > 2 for parts in paths)
    first = {parts[0] for parts in paths}
    return 1 if deep and len(first) == 1 and first.isdisjoint(("", ".", "..")) else 0
