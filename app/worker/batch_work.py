"""What the loop of batches does, of actions alone."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.actions.batch_item import Photo, Take, photo_in_folder
from app.actions.enroll import Enrolment
from app.actions.jobs import ClaimJob
from app.actions.run_batch import RunBatch
from app.actions.tidy_batches import TidyBatches
from app.domain.batch import BatchItem
from app.domain.job import Job, Overtaken
from app.errors import UnreadableEntry
from app.ports import Spool

# A line and the defaults of its batch -> the photo, and who it is.
ReadLine = Callable[[bytes, Mapping[str, Any]], tuple[bytes, Enrolment]]


@dataclass(frozen=True, slots=True)
class BatchWork:
    """Fits `worker.loop.Work`. at_once: persons whose photos are read at the same time."""

    spool: Spool
    claim_batch: ClaimJob
    run_batch: RunBatch
    tidy_batches: TidyBatches
    read_line: ReadLine
    at_once: int

    def waits(self) -> list[str]:
        """The jobs whose file lies here."""
        return self.spool.held()

    def claim(self, among: list[str]) -> Job | None:
        """Begins an attempt at one of them, if it may be begun now."""
        return self.claim_batch(among)

    def run(self, job: Job, stop: threading.Event) -> None:
        """Works on it until its end, or until `stop` is set."""
        self.run_batch(job, self._take(job), at_once=self.at_once, stop=stop)

    def sweep(self) -> object:
        """Overwrites the photos of whoever another process has erased."""
        return self.tidy_batches.blank_erased()

    def tidy(self) -> None:
        """Ends, forgets and deletes what is due."""
        self.tidy_batches()

    def _take(self, job: Job) -> Take:
        defaults = job.parameters.get("defaults", {})
        in_lines = job.parameters.get("form") == "lines"

        def take(item: BatchItem) -> Photo:
            if item.place is None:
                raise UnreadableEntry
            try:
                content = self.spool.read(job.id, item.place)
            except FileNotFoundError:
                raise Overtaken from None  # the job was ended, and its file went with it
            except OSError:
                raise UnreadableEntry from None
            if in_lines:
                image, enrolment = self.read_line(content, defaults)
                return Photo(image, enrolment, in_folder=False)
            return photo_in_folder(item.folder, content, defaults)

        return take
