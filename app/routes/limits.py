"""How much one key may ask: requests a minute, and requests at a time. Not for threads: the event loop's.

A key's rate is a bucket that holds the requests of one minute and is filled evenly, so that a pause may be made up by a
burst. It is kept as the one moment at which the bucket will be full again. Several processes have no common count: each
of them grants its share of a limit, rounded up.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.domain.key import Key
from app.errors import RateLimited

MINUTE_S = 60.0
MOST_KEYS = 10_000
# Nobody knows when a request ends that is being worked on.
RETRY_CROWDED_S = 1


@dataclass(slots=True)
class _Use:
    full_at_s: float
    running: int = 0


class KeyLimits:
    """What each key has left. rate_per_minute, concurrency: of a key that has no limits of its own; workers: processes.

    It remembers 10,000 keys; the one that was idle for longest is forgotten first, and begins with a full bucket.
    """

    def __init__(
        self, rate_per_minute: int, concurrency: int, *, workers: int = 1, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate_per_minute = rate_per_minute
        self._concurrency = concurrency
        self._workers = workers
        self._now = now
        self._uses: OrderedDict[str, _Use] = OrderedDict()

    def __len__(self) -> int:
        return len(self._uses)

    def enter(self, key: Key) -> Callable[[], None]:
        """Counts one request that begins; what is returned is to be called once, when it has ended.

        Raises RateLimited with the whole seconds after which another try may succeed; such a request is not counted.
        """
        now_s = self._now()
        use = self._uses.get(key.id)
        if use is None:
            use = self._uses[key.id] = _Use(now_s)
            self._forget()
        else:
            self._uses.move_to_end(key.id)
        concurrency = self._share(key.concurrency or self._concurrency)
        if use.running >= concurrency:
            raise RateLimited(RETRY_CROWDED_S, f"The key has {concurrency} requests under way: wait for one to end.")
        self._take(use, self._share(key.rate_per_minute or self._rate_per_minute), now_s)
        use.running += 1

        def leave() -> None:
            use.running -= 1

        return leave

    def _take(self, use: _Use, per_minute: int, now_s: float) -> None:
        each_s = MINUTE_S / per_minute
        full_at_s = max(use.full_at_s, now_s) + each_s
        # What is missing in the bucket may be a whole minute's; a thousandth of a request is left to rounding.
        wait_s = full_at_s - now_s - MINUTE_S
        if wait_s > each_s * 1e-3:
            raise RateLimited(math.ceil(wait_s), f"The key has made more than {per_minute} requests a minute: wait.")
        use.full_at_s = full_at_s

    def _share(self, limit: int) -> int:
        return -(-limit // self._workers)

    def _forget(self) -> None:
        if len(self._uses) <= MOST_KEYS:
            return
        idle = next((key_id for key_id, use in self._uses.items() if not use.running), None)
        if idle is not None:
            del self._uses[idle]
