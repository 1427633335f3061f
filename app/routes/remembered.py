"""Which keys were good, and from where: a table of fixed size, which the processes of one machine may share."""

import hashlib
import mmap
import struct
from pathlib import Path

SETS = 1024
WAYS = 8
GOOD_FOR_S = 7 * 24 * 3600.0
# Noted anew only then: most requests write nothing.
STALE_AFTER_S = 60.0

# Its file in the folder that the processes share.
GOOD_KEYS = "good-keys"

_ENTRY = struct.Struct("<16sd")
_PURPOSE = b"onelook good"
SIZE = SETS * WAYS * _ENTRY.size


class Remembered:
    """Digests of (address, key) with the moment, in seconds of the machine's monotonic clock, at which it was good.

    Room for 8,192 pairs, each for a week after it was last good. A new one takes the place of the oldest of the eight
    with which it shares a set, so that of 4,000 pairs one in a hundred may miss; only a good key writes. A torn entry,
    of two processes that write at once, is no key's digest.
    """

    def __init__(self, shared: Path | None = None) -> None:
        """shared: a file of `SIZE` bytes, zeros at first, that several processes have; None: memory of our own."""
        self._table: mmap.mmap | bytearray = bytearray(SIZE) if shared is None else _mapped(shared)

    def holds(self, address: str, token: str, now_s: float) -> bool:
        """Whether that key was good from that address within the last week."""
        digest = _digest(address, token)
        return any(held == digest and now_s - at_s < GOOD_FOR_S for held, at_s in self._set(_place(digest)))

    def note(self, address: str, token: str, now_s: float) -> None:
        """That key is good from that address now."""
        digest = _digest(address, token)
        place = _place(digest)
        entries = self._set(place)
        way = next((way for way, (held, _) in enumerate(entries) if held == digest), None)
        if way is None:
            way = min(range(WAYS), key=lambda one: entries[one][1])
        elif now_s - entries[way][1] <= STALE_AFTER_S:
            return
        _ENTRY.pack_into(self._table, place + way * _ENTRY.size, digest, now_s)

    def _set(self, place: int) -> list[tuple[bytes, float]]:
        return list(_ENTRY.iter_unpack(self._table[place : place + WAYS * _ENTRY.size]))


def _place(digest: bytes) -> int:
    return int.from_bytes(digest[:4], "little") % SETS * WAYS * _ENTRY.size


def _digest(address: str, token: str) -> bytes:
    # A key has 256 random bits: a digest keeps it, as the one in its row does.
    return hashlib.blake2b(f"{address} {token}".encode(), digest_size=16, person=_PURPOSE).digest()


def _mapped(shared: Path) -> mmap.mmap:
    with shared.open("r+b") as file:
        return mmap.mmap(file.fileno(), SIZE)
