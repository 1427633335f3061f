"""A render that nobody wants any more -> cancelled, with what it has come to."""

from dataclasses import dataclass
from datetime import timedelta

from app.actions.style.find import StyleState, found_style, state_of
from app.actions.style.telling import end, tell_again
from app.domain.key import Key
from app.ports import Store


@dataclass(frozen=True, slots=True)
class CancelStyle:
    """Stops a render after the step at hand; one that ended is left as it is. Raises UnknownJob.

    One that waits ends at once. Writes the row and an event; asked twice it writes nothing more.
    """

    store: Store
    kept: timedelta

    def __call__(self, job_id: str, key: Key) -> StyleState:
        """The job as it stands now: one that is worked on ends soon, with its last preview."""
        with self.store.write() as uow:
            job = found_style(uow, job_id, key)
            if job.status == "queued":
                changed = end(uow, job, "cancelled", self.kept)
            elif changed := job.status == "running" and not job.cancel_asked:
                uow.style_jobs.ask_cancel(job_id)
                tell_again(uow, job_id)
            state = state_of(uow, found_style(uow, job_id, key))
            if changed:
                uow.commit()
        return state
