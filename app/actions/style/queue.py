"""How many renders wait and are worked on, and since when the oldest one waits. Read-only."""

from dataclasses import dataclass

from app.ports import Store, StyleFiles


@dataclass(frozen=True, slots=True)
class StyleQueue:
    """oldest_s: since when the oldest one that waits does; 0 where none does."""

    queued: int
    running: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class CountStyle:
    """The queue of this home. Read-only."""

    store: Store
    files: StyleFiles

    def __call__(self) -> StyleQueue:
        """As it is now."""
        with self.store.read() as uow:
            unended = uow.style_jobs.unended(self.files.home)
            now = uow.style_jobs.now()
        waits = [job.created_at for job in unended if job.status == "queued"]
        oldest_s = max(0.0, (now - min(waits)).total_seconds()) if waits else 0.0
        return StyleQueue(len(waits), len(unended) - len(waits), oldest_s)
