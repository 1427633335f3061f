"""What was told of a render since an event. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.actions.style.find import found_style
from app.domain.key import Key
from app.domain.particulars import is_id
from app.domain.style_job import StyleEvent, StyleJob
from app.ports import Store

PIECE = 500


@dataclass(frozen=True, slots=True)
class Told:
    """Events in order, and the job as it stood when they were read.

    first: the lowest seq from which on none is missing: whoever knows less than the one before it needs the whole job,
    a `reset`. last: the seq of the last event; with `job.ended` nothing follows it.
    """

    job: StyleJob
    events: Sequence[StyleEvent]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StyleEventsAfter:
    """Events of a render that follow a seq; only its owner and an admin see them. Raises UnknownJob. Read-only."""

    store: Store

    def __call__(self, job_id: str, key: Key, after: int = 0, limit: int = PIECE) -> Told:
        """At most `limit` of them; there are more where the last one given is not `last`."""
        with self.store.read() as uow:
            # The events before the job: what the job tells of is never newer than what its `last` counts.
            events = uow.style_jobs.events(job_id, after=after, limit=limit) if is_id(job_id) else []
            job = found_style(uow, job_id, key)
        return Told(job, events, job.pruned + 1, job.seq)
