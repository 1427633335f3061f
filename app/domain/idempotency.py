"""Requests that may be sent again: the first answer is kept, and given again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

# How long a request may run before the same one may be tried again: its process may have been killed.
LEASE = timedelta(seconds=30)
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Remembered:
    """One request under one Idempotency-Key.

    id: digest of API key, route and header; digest: of the parsed fields and file bytes; token: fences the attempt that
    runs; status: of the answer, None while it runs.
    """

    id: str
    digest: bytes
    token: str
    started_at: datetime
    expires_at: datetime
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)

    def runs(self, now: datetime) -> bool:
        """Whether an attempt may still be at work."""
        return self.status is None and now < self.started_at + LEASE

    def counts(self, now: datetime) -> bool:
        """Whether another request under the same key must be held against this one."""
        return now < self.expires_at and (self.status is not None or self.runs(now))
