"""Where time and randomness come from outside of tests."""

import secrets
import time
from datetime import UTC, datetime

from app.domain.ids import RANDOM_BITS, make_id


class SystemClock:
    """Fits ports.Clock."""

    def now(self) -> datetime:
        """The time of this machine, in UTC."""
        return datetime.now(UTC)


class RandomIdentifiers:
    """Fits ports.Identifiers."""

    def new(self, prefix: str) -> str:
        """A fresh id."""
        return make_id(prefix, time.time_ns() // 1_000_000, secrets.randbits(RANDOM_BITS))

    def secret(self) -> str:
        """A fresh secret of 256 bits."""
        return secrets.token_urlsafe(32)
