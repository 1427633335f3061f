"""Lock-out of guessing: too many bad keys from one address, and it has to wait, ever longer.

A key that was good from that address before still opens, so that nobody can lock a door out by guessing beside it.
Not for threads: the event loop's.
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

from app.errors import LockedOut
from app.routes.remembered import Remembered

MOST_BAD = 10
WINDOW_S = 60.0
FIRST_LOCK_S = 60.0
LONGEST_LOCK_S = 900.0
# As long without a lock-out, and the next one is a first one again.
FORGIVEN_AFTER_S = 3600.0
MOST_ADDRESSES = 10_000
# One process of many sees only some of the bad keys; a slip of the hand must not be enough.
LEAST_SHARE = 3
IPV6_PREFIX = 64


@dataclass(slots=True)
class _Guesses:
    bad: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_BAD))
    locks: int = 0
    locked_until_s: float = -math.inf


class LockOut:
    """Who guessed. After ten bad keys in a minute (with several processes: its share in one) an address is locked out.

    That lasts a minute, and twice as long each time that it happens again, a quarter of an hour at most. IPv6 addresses
    count by their /64. 10,000 addresses are remembered; who was silent for longest is forgotten first.
    report: called once for each lock-out, with the address and the seconds; good: the keys that were good, and where.
    """

    def __init__(
        self,
        good: Remembered,
        report: Callable[[str, int], object],
        *,
        workers: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._good = good
        self._report = report
        self._most_bad = max(min(LEAST_SHARE, MOST_BAD), -(-MOST_BAD // workers))
        self._now = now
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()

    def __len__(self) -> int:
        return len(self._guesses)

    def check(self, host: str | None, token: str) -> None:
        """Raises LockedOut where that address is, unless this very key was good from there."""
        address = address_of(host)
        guesses = self._guesses.get(address)
        if guesses is None:
            return
        left_s = guesses.locked_until_s - self._now()
        if left_s > 0 and not self._good.holds(address, token, self._now()):
            raise LockedOut(math.ceil(left_s))

    def note_good(self, host: str | None, token: str) -> None:
        """The key was good from that address."""
        self._good.note(address_of(host), token, self._now())

    def note_bad(self, host: str | None) -> bool:
        """The key was a guess; whether the address is locked out by it."""
        now_s, address = self._now(), address_of(host)
        guesses = self._guesses.setdefault(address, _Guesses())
        self._guesses.move_to_end(address)
        if len(self._guesses) > MOST_ADDRESSES:
            self._guesses.popitem(last=False)
        if now_s - guesses.locked_until_s > FORGIVEN_AFTER_S:
            guesses.locks = 0
        guesses.bad.append(now_s)
        while guesses.bad[0] <= now_s - WINDOW_S:
            guesses.bad.popleft()
        # A bad key may still be under way when the lock-out begins: that is no new one.
        if len(guesses.bad) < self._most_bad or guesses.locked_until_s > now_s:
            return False
        lock_s = min(FIRST_LOCK_S * 2.0**guesses.locks, LONGEST_LOCK_S)
        guesses.locks += 1
        guesses.locked_until_s = now_s + lock_s
        guesses.bad.clear()
        self._report(address, round(lock_s))
        return True


@lru_cache(MOST_ADDRESSES)
def address_of(host: str | None) -> str:
    """What stands for one caller: an IPv4 address, the /64 of an IPv6 address, or whatever else there is."""
    if host is None:
        return "-"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
