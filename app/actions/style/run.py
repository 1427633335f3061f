"""A render that was claimed -> its file, with previews, progress and checkpoints on the way."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.actions.jobs import Told
from app.actions.style.claim import LEASE_S
from app.domain.style_job import StyleJob
from app.ports import Renderer, Store, StyleFiles


@dataclass(frozen=True, slots=True)
class RunStyle:
    """Works on a render that was claimed, until its end.

    Writes progress and events at most twice a second, previews, checkpoints, and in the end the file, each published by
    a write that only the attempt which holds the lease can make. told: an error as its row keeps it. report: told what
    went wrong. An error of the asking ends the job; any other is tried again, three attempts in all. Raises what the
    store raises where not even that can be written; then the lease runs out, and the job is begun again.
    """

    store: Store
    files: StyleFiles
    renderer: Renderer
    told: Told
    kept: timedelta
    report: Callable[[str], object]
    lease_s: float = LEASE_S
    ticks: Callable[[], float] = time.monotonic

    def __call__(self, job: StyleJob, stop: threading.Event) -> None:
        """stop: once set, a checkpoint is kept, and the job queued again as if this attempt had not been made."""
        raise NotImplementedError
