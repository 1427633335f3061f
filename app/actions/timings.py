"""Where the time of one answer went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from app.domain.face import ReadingTimes


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of each step; rest: total less all others."""

    decode: float
    detect: float
    align: float
    encode: float
    search: float
    rest: float
    queue: float
    total: float

    @classmethod
    def of(cls, times: Sequence[ReadingTimes], *, search_s: float, total_s: float) -> Self:
        """From the times of each picture read, and the seconds of the search and of everything."""
        decode, detect = sum(t.decode for t in times), sum(t.detect for t in times)
        align, encode = sum(t.align for t in times), sum(t.encode for t in times)
        queue, search, total = sum(t.queue for t in times), search_s * 1000, total_s * 1000
        # A step that pictures share in a batch is counted whole for each of them, so that the sum may exceed the total.
        rest = max(0.0, total - decode - detect - align - encode - search - queue)
        return cls(decode, detect, align, encode, search, rest, queue, total)
