"""Renders: what is asked of one, how far it has come, what it made, and what is told on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from app.domain.job import Status

# What each event says; `completed` is the last one of a job, however it ended.
EventType = Literal["status", "progress", "preview", "warning", "completed"]

MOST_ATTEMPTS = 3
# Of these the older ones are let go: each says what the next one says anew.
PRUNED: tuple[EventType, ...] = ("progress", "preview")
# How many of the last events are kept, whatever they are; and how many more may lie there before they are let go.
KEPT_EVENTS, PRUNE_EVERY = 200, 20
# What whoever works on a render may change.
CHANGES = frozenset(
    (
        *("step", "scale", "losses", "evaluations", "steps_per_s", "preview", "checkpoint", "output", "metrics"),
        *("error", "attempt"),
    )
)


class OtherState(Exception):
    """The state belongs to other files, other options or another engine: the render begins anew."""


@dataclass(frozen=True, slots=True)
class StyleJob:
    """One render, as stored. Times are aware, in UTC, by the clock of the database.

    owner: the id of the key that asked, or `local`; home: where its files lie; digest: of the options as asked and of
    the files; options: as they are used, nothing left open, masks as digests; input: `content` and `styles`, each with
    `bytes` and `sha256`; media_type: of the result; token: counts claims, and fences the attempt that holds the lease;
    attempt: claims since it last kept a checkpoint, but for those that were given back; begun_step, begun_at: where and
    when this attempt began; seq: of its last event, and so of its last change; pruned: events up to this seq may be
    gone.

    preview: `name`, `step`, `media_type`, `bytes`, `sha256`; checkpoint: `name`, `step`; output: `name`, `media_type`,
    `suffix`, `bytes`, `sha256`, and facts such as `width`; each name is one of its files. losses: `total`, `content`,
    `style`, `per_layer`. metrics: `queue_s`, `run_s`, `peak_memory_bytes`, `evaluations`, each once it is known. error:
    `code` and `detail` of the problem that ended it, or that made an attempt fail which is tried again.
    """

    id: str
    owner: str
    home: str
    digest: str
    options: Mapping[str, Any]
    input: Mapping[str, Any]
    medium: str
    media_type: str
    steps: int
    scales: int
    memory_bytes: int
    engine: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime
    person_id: str | None = None
    resumed_from: str | None = None
    max_attempts: int = MOST_ATTEMPTS
    status: Status = "queued"
    step: int = 0
    scale: int = 0
    losses: Mapping[str, Any] | None = None
    evaluations: int = 0
    steps_per_s: float | None = None
    attempt: int = 0
    token: int = field(default=0, repr=False)
    lease_until: datetime | None = None
    cancel_asked: bool = False
    error: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    begun_step: int = 0
    begun_at: datetime | None = None
    preview: Mapping[str, Any] | None = None
    checkpoint: Mapping[str, Any] | None = None
    output: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    pruned: int = 0

    @property
    def files(self) -> list[str]:
        """What it was made of, and what its row names: the files that it keeps once it has ended."""
        styles = [f"style-{number}" for number, _ in enumerate(self.input["styles"], 1)]
        masks = [f"mask-{number}" for number, mask in enumerate(self.options.get("masks") or (), 1) if mask]
        made = [one["name"] for one in (self.preview, self.checkpoint, self.output) if one is not None]
        return ["content", *styles, *masks, *made]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ("succeeded", "failed", "cancelled")

    @property
    def fraction(self) -> float:
        """How much of it is done, 0..1."""
        return 1.0 if self.status == "succeeded" or not self.steps else self.step / self.steps

    @property
    def work(self) -> float:
        """How much there is to do, in a measure of its own: renders of one engine take as long as this says."""
        return float((self.steps - self.step) * max(1, self.memory_bytes))

    def eta_s(self) -> float | None:
        """Seconds to its end at the speed of this attempt; None while there is no telling."""
        if self.status != "running" or not self.steps_per_s:
            return None
        return (self.steps - self.step) / self.steps_per_s


@dataclass(frozen=True, slots=True)
class StyleEvent:
    """Something that was told of a render. seq: 1, 2, 3 ... without gaps for each job, until old ones are let go.

    data: `status`: {status, attempt, cancel_asked}; `progress`: {step, steps, scale, scales, losses, evaluations,
    steps_per_s}; `preview`: {step, media_type}; `warning`: {detail, step}; `completed`: {status}.
    """

    seq: int
    job_id: str
    type: EventType
    data: Mapping[str, Any]
    at: datetime
