"""Whether a trail is what was written: goes over the rows once, in order, in bounded memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from app.domain.audit import GENESIS, Anchor, Head, Line, Link, Unreadable

Kind = Literal["edited", "removed", "reordered", "cut"]
MOST_FAULTS = 100
# Rows that do not fit are tried at each other's places: the work grows with the cube of this.
MOST_TRIED = 12


class Chain(Protocol):
    """What chains rows and signs places in the chain; its secret lies outside the database. Thread-safe."""

    @property
    def public_key(self) -> bytes:
        """32 bytes, Ed25519: what anybody may check heads with."""
        ...

    def mac(self, previous: bytes, line: Line) -> bytes:
        """The mac of that row after the row with the mac `previous`. TypeError, ValueError for what is no row."""
        ...

    def sign_head(self, place: Link) -> Head:
        """The place, signed as a head."""
        ...

    def signed_head(self, head: Head) -> bool:
        """Whether that head was signed by this chain's key."""
        ...

    def sign_anchor(self, line: Line) -> Anchor:
        """The place of that row, signed as the one where the trail begins."""
        ...

    def signed_anchor(self, anchor: Anchor) -> bool:
        """Whether that anchor was signed by this chain's key."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written, at or before the row `seq`."""

    seq: int
    fault: Kind
    detail: str


@dataclass(frozen=True, slots=True)
class _Misfit:
    """A row that does not follow the one before, and what it was tried after."""

    line: Line
    previous: tuple[bytes, ...]


class Check:
    """Takes the rows one by one; `faults` says at the end what is wrong with them, `found` how many faults there are.

    head: a place that was signed before; its signature has been checked. Where several rows in a row are gone, that is
    one fault. A row after a gap has no row before it that it could be held against: only the row after it vouches.
    """

    def __init__(self, chain: Chain, anchor: Anchor | None = None, head: Head | None = None) -> None:
        self.rows = 0
        self.found = 0
        #: Whether the row that the head names was there to be compared; one that was let go is not.
        self.met_head = False
        self._chain = chain
        self._head = head
        self._faults: list[Fault] = []
        self._misfits: list[_Misfit] = []
        self._begin(anchor)
        self.first = self.last.seq + 1

    def _begin(self, anchor: Anchor | None) -> None:
        # The last row as stored, and the macs that the next one may follow: as stored, and as it should have been.
        self.last = Link(0, GENESIS) if anchor is None else Link(anchor.seq, anchor.mac)
        self._previous: tuple[bytes, ...] = (self.last.mac,)
        if anchor is not None and not self._chain.signed_anchor(anchor):
            self._add(anchor.seq, "edited", "the anchor where the trail begins was not signed by this service")
        self._compare_with_head()

    def move_on(self, anchor: Anchor) -> None:
        """Rows up to that anchor were let go while we were reading: goes on behind it."""
        self._begin(anchor)

    def take(self, line: Line | Unreadable) -> bool:
        """The next row, by seq; whether it follows the one before."""
        before, self.rows = self.found, self.rows + 1
        if line.seq <= self.last.seq:
            self._add(line.seq, "edited", "a row that was never written")
            return False
        gap = line.seq > self.last.seq + 1
        if gap:
            self._add(self.last.seq + 1, "removed", f"the rows {self.last.seq + 1} to {line.seq - 1} are gone")
        self._follow(line, gap)
        self._compare_with_head()
        return self.found == before

    def end(self) -> None:
        """After the last row: whether all are there that the head speaks of, and which rows merely changed places."""
        if self._head is not None and self.last.seq < self._head.seq:
            text = f"the head names row {self._head.seq}, and the trail ends at row {self.last.seq}"
            self._add(self.last.seq + 1, "cut", text)
        self._find_moved()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The first 100 of them, by seq."""
        return tuple(sorted(self._faults, key=lambda fault: fault.seq))

    def _follow(self, line: Line | Unreadable, gap: bool) -> None:
        previous = self._previous
        untold = gap or not previous
        right = () if untold else tuple(self._right_macs(line, previous))
        if not untold and line.mac not in right:
            self._add(line.seq, "edited", "the row is not what was written")
            if isinstance(line, Line) and len(self._misfits) < MOST_TRIED:
                self._misfits.append(_Misfit(line, previous))
        self.last = Link(line.seq, line.mac)
        # Where only the mac of a row was altered, the next row still follows what it should have been.
        self._previous = tuple(mac for mac in dict.fromkeys((line.mac, *right)) if mac)

    def _right_macs(self, line: Line | Unreadable, previous: Iterable[bytes]) -> Iterable[bytes]:
        if isinstance(line, Line):
            for mac in previous:
                right = self._mac(mac, line)
                if right is not None:
                    yield right

    def _mac(self, previous: bytes, line: Line) -> bytes | None:
        try:
            return self._chain.mac(previous, line)
        except (TypeError, ValueError, AttributeError, OverflowError):
            return None

    def _compare_with_head(self) -> None:
        head = self._head
        if head is None or head.seq != self.last.seq:
            return
        self.met_head = True
        if head.mac != self.last.mac:
            self._add(head.seq, "cut", f"row {head.seq} is not the one that the head names: others were written since")

    def _find_moved(self) -> None:
        """A misfit that fits at another's place was moved: both places are `reordered`.

        The row behind such a place does not follow what stands there now; where it follows a row that was moved away,
        it is as it was written.
        """
        macs = {misfit.line.mac for misfit in self._misfits}
        moved = set()
        for one in self._misfits:
            for other in self._misfits:
                if one is not other and self._fits(one.line, other, macs):
                    moved |= {one.line.seq, other.line.seq}
        behind = {one.line.seq for one in self._misfits if self._fits(one.line, one, macs)} - moved
        kept = [fault for fault in self._faults if fault.fault != "edited" or fault.seq not in behind]
        self.found -= len(self._faults) - len(kept)
        self._faults = [_as_moved(fault) if fault.seq in moved else fault for fault in kept]

    def _fits(self, line: Line, place: _Misfit, macs: set[bytes]) -> bool:
        there = replace(line, seq=place.line.seq)
        return any(self._mac(mac, there) == line.mac for mac in (*place.previous, *(macs - {line.mac})))

    def _add(self, seq: int, fault: Kind, detail: str) -> None:
        self.found += 1
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(Fault(seq, fault, detail))


def _as_moved(fault: Fault) -> Fault:
    if fault.fault != "edited":
        return fault
    return Fault(fault.seq, "reordered", "the row belongs elsewhere, or another row to its place")
