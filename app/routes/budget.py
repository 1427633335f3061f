"""How many bytes of bodies may be in memory at once, over all requests."""

from app.routes.problems import Crowded

MIB = 1024 * 1024
MOST_BODIES = 16
MOST_BYTES = 512 * MIB


class ByteBudget:
    """free: bytes that no request holds. Not for threads: everything happens in the event loop that serves."""

    def __init__(self, total: int) -> None:
        self.free = total

    @classmethod
    def for_bodies(cls, max_body_bytes: int) -> "ByteBudget":
        """Room for 16 of the largest bodies, in 512 MiB at most; one of them always fits."""
        return cls(max(max_body_bytes, min(MOST_BODIES * max_body_bytes, MOST_BYTES)))


class Held:
    """What one request has taken of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._taken = 0

    def take(self, count: int) -> None:
        """Takes `count` bytes more. Raises Crowded when fewer are left."""
        if count > self._budget.free:
            raise Crowded
        self._budget.free -= count
        self._taken += count

    def give_back(self) -> None:
        """Gives back everything that was taken."""
        self._budget.free += self._taken
        self._taken = 0
