"""What was sent, whole -> a job with an item for each photo; the same content is the same job."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from app.actions.jobs import MOST_ATTEMPTS
from app.actions.people import known_gallery
from app.domain.batch import BatchItem, Place
from app.domain.gallery import Within
from app.domain.job import ENROLL_BATCH, Job
from app.ports import Clock, Identifiers, Spool, Store, UnitOfWork

# What is only known from a spooled file; the other form is a folder on the disk of whoever runs the command.
SPOOLED = ("zip", "lines")


class Content(Protocol):
    """What was sent, whole, and not yet begun."""

    @property
    def digest(self) -> str:
        """Of all of it."""
        ...

    def items(self) -> Sequence[BatchItem]:
        """Its photos, always the same for the same content. Raises UnreadableBatch, BatchTooLarge."""
        ...

    def keep(self, job_id: str, without: Collection[Place]) -> None:
        """Becomes the file of that job, with those places blank."""
        ...


@dataclass(frozen=True, slots=True)
class SubmitBatch:
    """Takes a batch in. The same content with the same parameters from the same owner is the same job.

    A job that ended in failure or was cancelled goes on where it stopped; one that succeeded is left as it is, unless
    what was refused shall be tried again. Nobody who was erased meanwhile comes back. Raises UnreadableBatch,
    BatchTooLarge, UnknownGallery. Writes the job and its items, and keeps the file.
    """

    store: Store
    spool: Spool
    clock: Clock
    identifiers: Identifiers
    kept: timedelta

    def __call__(
        self,
        content: Content,
        owner: str,
        parameters: Mapping[str, Any],
        *,
        within: Within = None,
        retry: bool = False,
    ) -> Job:
        """The job, as it stands now. parameters: `form`, and `defaults` of persons; retry: try again what was refused.

        within: the galleries that the caller is bound to; the defaults name none but these.
        """
        digest = _digest(content.digest, parameters)
        with self.store.read() as uow:
            for gallery in parameters.get("defaults", {}).get("galleries", ()):
                known_gallery(uow, gallery, within)
            held = uow.jobs.of(owner, ENROLL_BATCH, digest)
        if held is not None and not self._needs(held, retry):
            job = self._go_on(held, retry)
            if job is not None:
                return job
        items = content.items()
        with self.store.write() as uow:
            held = uow.jobs.of(owner, ENROLL_BATCH, digest)
            job = self._begin(uow, owner, digest, parameters, items) if held is None else held
            if held is not None:
                if retry:
                    _try_again(uow, held, items)
                uow.jobs.go_on(held.id, self.clock.now() + self.kept)
            erased = uow.batches.numbers(job.id, "erased")
            # The file before its row: a row without a file would wait for ever, a file without a row is swept away, and
            # so is that of a job whose row stays as it was, ended. Until the commit nobody else can look and delete it;
            # while the job runs it is the same file once more.
            content.keep(job.id, [i.place for i in items if i.number in erased and i.place is not None])
            uow.batches.forget_places(job.id, erased)
            uow.commit()
        return self._again(job.id)

    def _needs(self, held: Job, retry: bool) -> bool:
        """Whether the content is needed to go on."""
        if held.ended:
            return retry or held.status != "succeeded"
        spooled = held.parameters.get("form") in SPOOLED
        return spooled and not held.is_worked_on(self.clock.now()) and held.id not in self.spool.held()

    def _begin(
        self, uow: UnitOfWork, owner: str, digest: str, parameters: Mapping[str, Any], items: Sequence[BatchItem]
    ) -> Job:
        now = self.clock.now()
        job = Job(
            id=self.identifiers.new("job"),
            kind=ENROLL_BATCH,
            owner=owner,
            digest=digest,
            parameters=parameters,
            steps=len(items),
            step=sum(item.status != "pending" for item in items),
            created_at=now,
            expires_at=now + self.kept,
            max_attempts=MOST_ATTEMPTS,
        )
        uow.jobs.add(job)
        uow.batches.add(job.id, items)
        return job

    def _go_on(self, held: Job, retry: bool) -> Job | None:
        """The job as it stands now; None where it has ended meanwhile, and the content is needed after all."""
        if held.ended or not held.cancel_asked:
            return held
        with self.store.write() as uow:
            now = uow.jobs.get(held.id)
            if now is None or self._needs(now, retry):
                return None
            uow.jobs.go_on(held.id, self.clock.now() + self.kept)
            uow.commit()
        return self._again(held.id)

    def _again(self, job_id: str) -> Job:
        with self.store.read() as uow:
            job = uow.jobs.get(job_id)
        assert job is not None
        return job


def _try_again(uow: UnitOfWork, job: Job, items: Sequence[BatchItem]) -> None:
    uow.batches.renew(job.id, items)
    counts = uow.batches.counts(job.id)
    uow.jobs.count_anew(job.id, sum(counts.values()) - counts.get("pending", 0), sum(counts.values()))


def _digest(content: str, parameters: Mapping[str, Any]) -> str:
    said = json.dumps(dict(parameters), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{said}\n{content}".encode()).hexdigest()
