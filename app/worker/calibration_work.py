"""What the loop of calibrations does, of actions alone."""

import threading
from dataclasses import dataclass

from app.actions.calibrations import RunCalibration
from app.actions.jobs import ClaimJob
from app.actions.tidy_batches import TidyBatches
from app.domain.job import Job
from app.ports import Spool


@dataclass(frozen=True, slots=True)
class CalibrationWork:
    """Fits `worker.loop.Work`."""

    spool: Spool
    claim_calibration: ClaimJob
    run_calibration: RunCalibration
    tidy_calibrations: TidyBatches

    def waits(self) -> list[str]:
        """The jobs whose file lies here."""
        return self.spool.held()

    def claim(self, among: list[str]) -> Job | None:
        """Begins an attempt at one of them, if it may be begun now."""
        return self.claim_calibration(among)

    def run(self, job: Job, stop: threading.Event) -> None:
        """Works on it until its end, or until `stop` is set."""
        self.run_calibration(job, stop=stop)

    def sweep(self) -> object:
        """Overwrites the photos of whoever another process has erased."""
        return self.tidy_calibrations.blank_erased()

    def tidy(self) -> None:
        """Ends, forgets and deletes what is due."""
        self.tidy_calibrations()
