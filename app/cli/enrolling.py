"""A folder of people -> a batch on the home that the settings name, worked on by this process."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from app.cli.outcomes import Refusal, Tally, explained
from app.cli.photo_folder import FolderContent
from app.domain.actor import LOCAL
from app.domain.batch import BatchItem, Outcome
from app.errors import Busy

if TYPE_CHECKING:
    from app.domain.job import Job
    from app.routes.desk import Desk

LOOK_S = 0.5
PAGE = 500
_ANOTHER = "Another `onelook enroll` works on this folder: wait for its end."


def enroll_here(
    desk: "Desk", content: FolderContent, defaults: dict[str, Any], progress: Callable[[int, int], object]
) -> Tally:
    """Enrols the folder, going on where an earlier run stopped; what an earlier one that ended refused is tried again.

    progress: called with the photos done and all there are. Raises Busy when another process works on that folder.
    """
    desk.tidy_batches()
    job = _claimed(desk, desk.submit_batch(content, LOCAL, {"form": "folder", "defaults": defaults}, retry=True).id)
    tally, lock = Tally(), threading.Lock()
    progress(job.step, job.steps)

    def settled(item: BatchItem, outcome: Outcome) -> None:
        nonlocal tally
        with lock:
            tally = tally.with_one(outcome.status)
            progress(job.step + tally.settled, job.steps)

    # As many as keep every lane busy, and no more than may wait for one.
    at_once = min(2 * desk.about.lanes, desk.settings.inference_queue)
    desk.run_batch(
        job, lambda item: content.take(item, defaults), at_once=at_once, stop=threading.Event(), settled=settled
    )
    with desk.store.read() as uow:
        counts = uow.batches.counts(job.id)
    stored = sum(counts.get(status, 0) for status in ("enrolled", "template", "before"))
    return replace(
        tally,
        before=stored - tally.enrolled - tally.template,
        erased=counts.get("erased", 0),
        refused=tuple(_refused(desk, job.id)),
    )


def _claimed(desk: "Desk", job_id: str) -> "Job":
    """The job, its lease ours. One that a killed run left is ours once its lease has run out."""
    first_lease = None
    while (job := desk.claim_batch([job_id])) is None:
        with desk.store.read() as uow:
            held = uow.jobs.get(job_id)
        if held is None or held.ended:
            raise Busy(_ANOTHER)
        if first_lease is None:
            first_lease = held.lease_until
            typer.echo("waiting until the run before this one has let go", err=True)
        if held.lease_until != first_lease:  # somebody renews it
            raise Busy(_ANOTHER)
        time.sleep(LOOK_S)
    return job


def _refused(desk: "Desk", job_id: str) -> Iterator[Refusal]:
    after = -1
    with desk.store.read() as uow:
        while page := uow.batches.page(job_id, status="refused", after=after, limit=PAGE):
            for item in page:
                person = None if item.person_id is None else uow.people.get(item.person_id)
                whom = item.person_id if person is None else f"{person.name} ({person.id})"
                yield Refusal(item.source, item.code or "", explained(item.detail or "", item.members or {}, whom))
            after = page[-1].number
