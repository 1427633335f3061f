"""API keys: what they may do, and how long."""

from dataclasses import dataclass, field
from datetime import datetime

SCOPES = (
    "detect",
    "enroll",
    "verify",
    "identify",
    "candidates",
    "persons:read",
    "persons:write",
    "persons:erase",
    "style",
    "doors",
    "decide",
    "events:read",
    "calibrate",
    "audit",
    "admin",
)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as stored: `digest` is SHA-256 of the secret; the secret itself is shown once and never stored.

    galleries: the only ones that it sees and touches, None: not bound. rate_per_minute: requests; concurrency: requests
    at a time; None: what the settings say.
    """

    id: str
    name: str
    scopes: frozenset[str]
    created_at: datetime
    digest: bytes = field(repr=False)
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    galleries: frozenset[str] | None = None
    rate_per_minute: int | None = None
    concurrency: int | None = None

    def holds(self, scope: str) -> bool:
        """Whether the key may do what `scope` allows; `admin` may do all."""
        return "admin" in self.scopes or scope in self.scopes

    def may_see(self, gallery: str) -> bool:
        """Whether the key may look into that gallery; a bound key may not look into `all`."""
        return self.galleries is None or gallery in self.galleries
