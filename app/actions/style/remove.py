"""A render that shall be forgotten -> its files and rows, gone."""

from dataclasses import dataclass

from app.actions.style.find import found_style
from app.domain.key import Key
from app.ports import Store, StyleFiles


@dataclass(frozen=True, slots=True)
class RemoveStyle:
    """Deletes a render with its events and files. Raises UnknownJob, OSError where the files cannot be removed.

    Whoever works on it finds no row to write to, and stops within seconds.
    """

    store: Store
    files: StyleFiles

    def __call__(self, job_id: str, key: Key) -> None:
        """Gone when this returns."""
        with self.store.write() as uow:
            found_style(uow, job_id, key)
            uow.style_jobs.remove(job_id)
            uow.commit()
        self.files.remove(job_id)
