"""An index on disk, only to start faster: sealed, checked, and passed over when it is not whole.

The file: eight bytes that say what it is, the length of the header (4 bytes), the header as JSON, and the content in
sealed pieces, each behind its length (4 bytes). The content is the template ids, the person ids of their owners, and
the vectors as little-endian float32. Each piece is bound to the header and to its own number, so that a changed header
opens nothing, and no piece stands for another.

A snapshot may hold somebody who was erased since: whoever reads it applies the changes after its `seq` before it is
searched, and an erasure removes it (`remove`).
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from app.domain.face import Vector
from app.index import durable
from app.index.vectors import DIMENSIONS

# (bytes, associated data) -> bytes. Sealing the same twice need not give the same; opening raises for what was altered.
Cipher = Callable[[bytes, bytes], bytes]

MAGIC = b"1LOOKIDX"
FORMAT = 1
LONGEST_HEADER = 4096
PIECE = 4 * 2**20
# What sealing adds to a piece, at the very most.
LARGEST_SEALED = PIECE + 4096
ROW_BYTES = DIMENSIONS * 4
# Between ids; no id holds it.
SEPARATOR = "\0"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an index held when it had applied change `seq`; ids, owners (person ids) and vectors belong together by row.

    vectors: float32 (n, 128), rows of unit length; never shown.
    """

    seq: int
    model_id: str
    ids: list[str] = field(repr=False)
    owners: list[str] = field(repr=False)
    vectors: Vector = field(repr=False)

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.owners) == len(self.vectors) or self.vectors.shape[1:] != (DIMENSIONS,):
            raise ValueError("a snapshot needs an id, an owner and a vector of 128 numbers for each row")


class _Bad(Exception):
    """Why a snapshot cannot be used."""


def write(path: Path, snapshot: Snapshot, seal: Cipher) -> None:
    """Puts the snapshot in place of an older one, whole or not at all; it can be read by its owner alone.

    Raises OSError, and ValueError for an id with a NUL in it.
    """
    ids, owners = _joined(snapshot.ids), _joined(snapshot.owners)
    facts = {
        "format": FORMAT,
        "seq": snapshot.seq,
        "model_id": snapshot.model_id,
        "count": len(snapshot.ids),
        "ids_bytes": len(ids),
        "owners_bytes": len(owners),
        # Two snapshots of one seq may hold their rows in different order: their pieces must not be mixed.
        "of": secrets.token_hex(8),
    }
    header = json.dumps(facts, sort_keys=True).encode()
    durable.replace(path, _parts(header, _pieces(ids, owners, snapshot.vectors), seal))


def read(
    path: Path, model_id: str, unseal: Cipher, report: Callable[[str], object] = lambda reason: None
) -> Snapshot | None:
    """The snapshot, or None where there is none that can be used. Raises nothing; the vectors are read-write.

    report: told in one line why a file that is there cannot be used: it is short, was altered, belongs to another model
    or version, or was sealed with another key.
    """
    try:
        with path.open("rb") as file:
            return _read(file, model_id, unseal)
    except FileNotFoundError:
        return None
    except _Bad as e:
        reason = str(e)
    except Exception as e:  # whatever a damaged file makes of itself, the rows are the truth
        reason = f"it cannot be read ({type(e).__name__})"
    report(f"the snapshot {path.name} is not used: {reason}")
    return None


def remove(path: Path) -> bool:
    """Deletes the snapshot and what an interrupted `write` left; whether there was any. Raises OSError."""
    return durable.remove(path)


def _read(file: BinaryIO, model_id: str, unseal: Cipher) -> Snapshot:
    header = _header(file)
    facts = _facts(header, model_id)
    count, ids_bytes, owners_bytes = facts["count"], facts["ids_bytes"], facts["owners_bytes"]
    content = ids_bytes + owners_bytes + count * ROW_BYTES
    # Before memory is taken for what the header promises.
    if os.fstat(file.fileno()).st_size < content:
        raise _Bad("it is cut short")
    # So placed that the numbers behind the ids are aligned.
    padding = -(ids_bytes + owners_bytes) % 4
    whole = np.empty(padding + content, np.uint8)[padding:]
    begin = number = 0
    while begin < content:
        piece = _piece(file, number, header, unseal)
        end = begin + len(piece)
        if not piece or end > content:
            raise _Bad("its pieces do not fit its header")
        whole[begin:end] = np.frombuffer(piece, np.uint8)
        begin, number = end, number + 1
    if file.read(1):
        raise _Bad("something stands behind its end")
    ids = _split(whole[:ids_bytes], count)
    owners = _split(whole[ids_bytes : ids_bytes + owners_bytes], count)
    vectors = whole[ids_bytes + owners_bytes :].view("<f4").astype(np.float32, copy=False)
    return Snapshot(facts["seq"], model_id, ids, owners, vectors.reshape(count, DIMENSIONS))


def _header(file: BinaryIO) -> bytes:
    if file.read(len(MAGIC)) != MAGIC:
        raise _Bad("it is no snapshot")
    length = int.from_bytes(file.read(4), "big")
    header = file.read(length) if length <= LONGEST_HEADER else b""
    if not header or len(header) < length:
        raise _Bad("its header is damaged")
    return header


def _facts(header: bytes, model_id: str) -> dict[str, Any]:
    try:
        facts = json.loads(header)
    except ValueError:
        raise _Bad("its header is damaged") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise _Bad("it has the format of another version")
    if facts.get("model_id") != model_id:
        raise _Bad("it holds the templates of another model")
    numbers = [facts.get(name) for name in ("seq", "count", "ids_bytes", "owners_bytes")]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise _Bad("its header is damaged")
    return facts


def _piece(file: BinaryIO, number: int, header: bytes, unseal: Cipher) -> bytes:
    length = int.from_bytes(file.read(4), "big")
    sealed = file.read(length) if length <= LARGEST_SEALED else b""
    if not sealed or len(sealed) < length:
        raise _Bad("it is cut short")
    try:
        return unseal(sealed, _belonging(header, number))
    except Exception as e:  # each cipher has an error of its own
        raise _Bad(f"it was altered, or sealed with another key ({type(e).__name__})") from None


def _parts(header: bytes, pieces: Iterable[bytes], seal: Cipher) -> Iterator[bytes]:
    yield MAGIC + len(header).to_bytes(4, "big") + header
    for number, piece in enumerate(pieces):
        sealed = seal(piece, _belonging(header, number))
        yield len(sealed).to_bytes(4, "big")
        yield sealed


def _pieces(ids: bytes, owners: bytes, vectors: Vector) -> Iterator[bytes]:
    for names in (ids, owners):
        for begin in range(0, len(names), PIECE):
            yield names[begin : begin + PIECE]
    rows = PIECE // ROW_BYTES
    for begin in range(0, len(vectors), rows):
        yield np.ascontiguousarray(vectors[begin : begin + rows], "<f4").tobytes()


def _belonging(header: bytes, number: int) -> bytes:
    return header + number.to_bytes(8, "big")


def _joined(names: list[str]) -> bytes:
    joined = SEPARATOR.join(names)
    if joined.count(SEPARATOR) != max(0, len(names) - 1):
        raise ValueError("an id holds a NUL")
    return joined.encode()


def _split(names: np.ndarray[Any, np.dtype[np.uint8]], count: int) -> list[str]:
    split = names.tobytes().decode().split(SEPARATOR) if count else []
    if len(split) != count:
        raise _Bad("its ids do not fit its header")
    return split
