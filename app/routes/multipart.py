"""multipart/form-data, parsed in memory: a photo never touches the disk on its way in."""

import re
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.routes.problems import Malformed

MOST_PARTS = 200
LONGEST_NAME = 200
# RFC 2046, 5.1.1
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_REFUSAL = "The body is not the multipart/form-data that its Content-Type says, or it is cut short."


@dataclass(slots=True)
class Part:
    """One part: its field's name, and its bytes."""

    name: str = ""
    data: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts in order. Raises Malformed."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise Malformed("The Content-Type names no proper boundary.")
    collector = _Collector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError):
        raise Malformed(_REFUSAL) from None
    if not collector.ended:
        raise Malformed(_REFUSAL)
    return collector.parts


class _Collector:
    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._chunks: list[bytes] = []
        self._name = b""
        self._value = b""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise Malformed(f"The body has more than {MOST_PARTS} parts.")
        self.parts.append(Part())
        self._chunks = []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self.parts[-1].headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self.parts[-1].headers.get(b"content-disposition"))
        name = options.get(b"name", b"")
        if kind != b"form-data" or not 1 <= len(name) <= LONGEST_NAME:
            raise Malformed("A part of the body has no field name.")
        try:
            self.parts[-1].name = name.decode()
        except UnicodeDecodeError:
            raise Malformed("A field's name is not UTF-8.") from None

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def _part_end(self) -> None:
        self.parts[-1].data = b"".join(self._chunks)
        self._chunks = []

    def _end(self) -> None:
        self.ended = True
