"""What the loop of re-embeddings does, of actions alone."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from app.actions.jobs import ClaimJob
from app.actions.reembed import RunReembedding
from app.domain.job import REEMBEDDING, Job
from app.ports import Store


@dataclass(frozen=True, slots=True)
class ReembeddingWork:
    """Fits `worker.loop.Work`. Whatever it needs is in the rows: any process may go on with it."""

    store: Store
    claim_reembedding: ClaimJob
    run_reembedding: RunReembedding
    tidy_reembeddings: Callable[[], object]

    def waits(self) -> list[str]:
        """Those that have not ended."""
        with self.store.read() as uow:
            return uow.jobs.unended(REEMBEDDING)

    def claim(self, among: list[str]) -> Job | None:
        """Begins an attempt at one of them, if it may be begun now."""
        return self.claim_reembedding(among)

    def run(self, job: Job, stop: threading.Event) -> None:
        """Works on it until its end, or until `stop` is set."""
        self.run_reembedding(job, stop=stop)

    def sweep(self) -> None:
        """Nothing follows an erasure here: what was embedded goes with its template."""

    def tidy(self) -> None:
        """Ends and forgets what is due."""
        self.tidy_reembeddings()
