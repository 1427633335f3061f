"""Rows of work that goes on after the answer, and the files that it is done on."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from app.domain.batch import BatchItem, Outcome, Place
from app.domain.idempotency import Remembered
from app.domain.job import Job, Status


class Idempotency(Protocol):
    """Rows of requests that may be sent again."""

    def get(self, record_id: str) -> Remembered | None:
        """The record, whether it still counts or not, or None."""
        ...

    def start(self, record: Remembered) -> None:
        """Writes it in place of any that has its id."""
        ...

    def finish(self, record: Remembered, person_ids: Sequence[str]) -> bool:
        """Keeps the answer in `record`, and whom it tells of; False where another attempt took over."""
        ...

    def forget(self, record: Remembered) -> None:
        """Deletes it, unless another attempt took over or its answer is kept."""
        ...

    def forget_person(self, person_id: str) -> int:
        """Deletes every record whose answer tells of that person; how many."""
        ...

    def count_person(self, person_id: str) -> int:
        """How many records tell of that person."""
        ...

    def sweep(self, now: datetime) -> int:
        """Deletes what has expired; how many."""
        ...


class Jobs(Protocol):
    """Rows of jobs. Whoever works on one writes with the token of the attempt: what answers False was not written."""

    def add(self, job: Job) -> None:
        """Inserts."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        ...

    def of(self, owner: str, kind: str, digest: str) -> Job | None:
        """That owner's job of that content, or None."""
        ...

    def waiting(self, kind: str, among: Sequence[str], now: datetime) -> bool:
        """Whether `claim` would find one; asks without writing."""
        ...

    def claim(self, kind: str, among: Sequence[str], *, token: str, now: datetime, until: datetime) -> Job | None:
        """Begins an attempt at the oldest of these ids that is queued, or was left by whoever worked on it."""
        ...

    def beat(self, job_id: str, token: str, until: datetime) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        ...

    def advance(self, job_id: str, token: str, by: int = 1) -> bool:
        """Counts steps; False where the attempt has lost the job."""
        ...

    def release(self, job_id: str, token: str) -> bool:
        """Queues it again for whoever comes next, as if this attempt had not been made."""
        ...

    def end(
        self,
        job_id: str,
        status: Status,
        *,
        token: str | None,
        at: datetime,
        expires_at: datetime,
        error: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> bool:
        """Ends it; `token` as its row has it, None for one that is queued. False where the row has another by now."""
        ...

    def unended(self, kind: str) -> list[str]:
        """The ids of those that are queued or running, oldest first."""
        ...

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        ...

    def go_on(self, job_id: str, expires_at: datetime) -> None:
        """Queues it again, its attempts counted from none; one that is worked on just goes on, uncancelled."""
        ...

    def count_anew(self, job_id: str, step: int, steps: int) -> None:
        """Writes how many steps there are and how many are done."""
        ...

    def given_up(self, kind: str, now: datetime) -> list[Job]:
        """Those that nobody will begin again: left when cancelled, left too often, or not ended when they expired."""
        ...

    def forget(self, kind: str, now: datetime) -> list[str]:
        """Deletes those that ended and have expired, with their items; their ids."""
        ...


class Batches(Protocol):
    """Rows of the items of bulk enrolments, by job and number."""

    def add(self, job_id: str, items: Iterable[BatchItem]) -> None:
        """Inserts."""
        ...

    def page(self, job_id: str, *, status: str | None, after: int, limit: int) -> list[BatchItem]:
        """At most `limit` items in order of number, those behind the number `after`; all of them or of one status."""
        ...

    def counts(self, job_id: str) -> dict[str, int]:
        """Status -> how many items have it; those of none are left out."""
        ...

    def status(self, job_id: str, number: int) -> str | None:
        """The status of one item, or None."""
        ...

    def settle(self, job_id: str, number: int, outcome: Outcome) -> bool:
        """Writes what became of an item; False where it is not pending any more."""
        ...

    def of(self, person_id: str) -> list[tuple[str, BatchItem]]:
        """(job id, item) of every item that names that person."""
        ...

    def enrolled_as(self, job_id: str, person: int) -> str | None:
        """The id of whom an item of that person of the batch was enrolled as, or None."""
        ...

    def numbers(self, job_id: str, status: str) -> set[int]:
        """The numbers of the items of that status."""
        ...

    def renew(self, job_id: str, items: Sequence[BatchItem]) -> None:
        """Makes every item that is neither stored as a template nor erased what `items` has it as."""
        ...

    def erase(self, person_id: str) -> int:
        """Blanks every item of that person, before the person's own rows are deleted; how many photos those were.

        Theirs are all photos of a folder of which any was stored for that person, those that still wait too; those
        that wait in a folder named as the external_id; and those refused because they look like that person.
        """
        ...

    def erased_places(self, job_id: str) -> dict[int, Place]:
        """Number -> where the photo lies, for items of the erased whose place in the file was not blanked yet."""
        ...

    def forget_places(self, job_id: str, numbers: Collection[int]) -> None:
        """Notes that nothing lies there any more."""
        ...

    def note_photo(self, template_id: str, digest: str) -> None:
        """Remembers which photo became that template; forgotten with the template."""
        ...

    def known_photo(self, digest: str) -> tuple[str, str] | None:
        """(template id, person id) of what that photo became, or None."""
        ...


class Draft(Protocol):
    """An upload on its way, one thread at a time; nothing is begun before it is whole."""

    @property
    def digest(self) -> str:
        """SHA-256 of what was written so far, hexadecimal."""
        ...

    def write(self, chunk: bytes) -> None:
        """Appends. Raises OSError, such as for a disk that is full."""
        ...

    def items(self) -> Sequence[BatchItem]:
        """What it holds, always the same for the same content. Raises UnreadableBatch, BatchTooLarge."""
        ...

    def keep(self, job_id: str, without: Collection[Place] = ()) -> None:
        """Becomes the file of that job, with those places blank; on the disk when this returns."""
        ...

    def discard(self) -> None:
        """Deletes it; harmless after `keep`."""
        ...


class Spool(Protocol):
    """The files of batches that have not ended, by job id; nobody else may read them."""

    def draft(self, form: Literal["zip", "lines"]) -> Draft:
        """A file for an upload that begins now."""
        ...

    def held(self) -> list[str]:
        """The jobs whose file lies here."""
        ...

    def read(self, job_id: str, place: Place) -> bytes:
        """The photo, or the line, at that place. Raises UnreadableEntry, and FileNotFoundError without a file."""
        ...

    def blank(self, job_id: str, places: Iterable[Place]) -> None:
        """Overwrites those places with zeros; they are gone from the disk when this returns."""
        ...

    def remove(self, job_id: str) -> bool:
        """Deletes the file; False where there is none."""
        ...

    def sweep(self, older_than_s: float) -> list[str]:
        """Deletes uploads that were broken off that long ago; the jobs of which a file of that age lies here."""
        ...
