"""What a store asks of a database, whichever kind it is, and what the kinds have in common."""

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine

WRITE_TIMEOUT_S = 10.0

Report = Callable[[str], object]

# What engines of both kinds are made with.
OPTIONS: Final = {
    # The connection that was used last has the warmest cache.
    "pool_use_lifo": True,
    # Statements are logged without their values, should somebody turn that log on.
    "hide_parameters": True,
}


class Database(Protocol):
    """A database that `migrate` brought up to date. Thread-safe."""

    @property
    def writing(self) -> Engine:
        """Transactions that take the write lock when they begin."""
        ...

    @property
    def reading(self) -> Engine:
        """Kept connections on which each query is a transaction of its own and none can write."""
        ...

    def begin(self) -> Connection:
        """A connection that has begun to write; closing it rolls back what was not committed."""
        ...

    def reader(self) -> Connection:
        """A kept connection to read with; closing it gives it back."""
        ...

    def commit(self, connection: Connection, *, removed: bool) -> None:
        """Commits, durably. removed: whether rows were deleted whose bytes must leave the files too.

        Raises NotAcknowledged when it is not known whether the change is kept.
        """
        ...

    def close(self) -> None:
        """Closes the kept connections."""
        ...


def from_json(text: str | bytes) -> Any:
    """Reads a JSON column."""
    # Most persons have neither metadata nor groups, and a search reads many persons.
    if text in ("{}", b"{}"):
        return {}
    return [] if text in ("[]", b"[]") else json.loads(text)
