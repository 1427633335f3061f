"""Jobs: work that goes on after the answer, in rows that outlive the process which does it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ENROLL_BATCH = "enroll_batch"
REEMBEDDING = "reembedding"
CALIBRATION = "calibration"
STATUSES: tuple[Status, ...] = ("queued", "running", "succeeded", "failed", "cancelled")


class Overtaken(Exception):
    """The attempt has lost its lease, or the job was ended: what it was about to write is not written."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as stored. Times are aware, in UTC.

    owner: the id of the key that asked, or `local`; digest: what makes a second request the same job; token: fences the
    attempt that holds the lease; attempt: how often it was begun since it last got on; begun_step, begun_at: where and
    when this attempt began; error: `code` and `detail` of the problem that ended it; expires_at: when it is forgotten,
    or given up where it has not ended; result: what it found, for a kind of job that finds something.
    """

    id: str
    kind: str
    owner: str
    digest: str
    parameters: Mapping[str, Any]
    steps: int
    created_at: datetime
    expires_at: datetime
    max_attempts: int
    status: Status = "queued"
    step: int = 0
    attempt: int = 0
    token: str | None = field(default=None, repr=False)
    lease_until: datetime | None = None
    cancel_asked: bool = False
    error: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    begun_step: int = 0
    begun_at: datetime | None = None
    result: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it unless somebody asks again."""
        return self.status in ("succeeded", "failed", "cancelled")

    @property
    def fraction(self) -> float:
        """How much of it is done, 0..1."""
        return 1.0 if not self.steps else self.step / self.steps

    def is_worked_on(self, now: datetime) -> bool:
        """Whether somebody holds a lease on it."""
        return self.status == "running" and self.lease_until is not None and self.lease_until > now

    def eta_s(self, now: datetime) -> float | None:
        """Seconds to its end at the speed of this attempt; None while there is no telling."""
        if self.status != "running" or self.begun_at is None or self.step <= self.begun_step:
            return None
        spent_s = (now - self.begun_at).total_seconds()
        return max(0.0, spent_s * (self.steps - self.step) / (self.step - self.begun_step))
