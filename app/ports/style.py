"""Renders: their rows and events, their files, and whoever renders."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from app.domain.job import Status
from app.domain.style_job import EventType, StyleEvent, StyleJob


class StyleJobs(Protocol):
    """Rows of renders and of their events.

    Whoever works on one writes with the token of the attempt: what answers None or False was not written.
    """

    def now(self) -> datetime:
        """The time, by the clock that leases are measured with: the database's."""
        ...

    def add(self, job: StyleJob) -> None:
        """Inserts."""
        ...

    def get(self, job_id: str) -> StyleJob | None:
        """The job, or None."""
        ...

    def page(self, *, owner: str | None, status: Status | None, before: str | None, limit: int) -> list[StyleJob]:
        """At most `limit` jobs, the newest first, behind the id `before`; of everybody or of one owner."""
        ...

    def count_queued(self, home: str) -> int:
        """How many wait."""
        ...

    def unended(self, home: str) -> list[StyleJob]:
        """Those that are running, oldest first, then those that wait, in the order in which they are begun."""
        ...

    def done_lately(self, home: str, limit: int) -> list[StyleJob]:
        """Those that succeeded, the last one first."""
        ...

    def waiting(self, home: str) -> bool:
        """Whether `claim` would find one; asks without writing."""
        ...

    def claim(self, home: str, lease_s: float) -> StyleJob | None:
        """Begins an attempt at the oldest that is queued, or whose lease has run out, by one statement.

        None where there is none: those out of attempts, and those to be cancelled, are left to `given_up`.
        """
        ...

    def beat(self, job_id: str, token: int, lease_s: float) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        ...

    def write(self, job_id: str, token: int, **changes: Any) -> bool | None:
        """Changes fields of the row; whether it shall be cancelled, or None where the attempt has lost the job."""
        ...

    def release(self, job_id: str, token: int, *, counted: bool, error: Mapping[str, Any] | None = None) -> bool:
        """Queues it again for whoever comes next. counted: whether the attempt counts as one."""
        ...

    def end(
        self,
        job_id: str,
        status: Status,
        *,
        token: int,
        expires_at: datetime,
        error: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> bool:
        """Ends it, now, with its last changes; False where it has ended, or its row has another token by now."""
        ...

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        ...

    def given_up(self, home: str) -> list[StyleJob]:
        """Those that nobody will begin again: left when cancelled, left too often, or not ended when they expired.

        Of any home where they have expired.
        """
        ...

    def expired(self) -> list[str]:
        """Those that have ended, and whose time is over."""
        ...

    def of_person(self, person_id: str) -> list[StyleJob]:
        """Those that show that person."""
        ...

    def missing(self, job_ids: Sequence[str]) -> list[str]:
        """Those of them that have no row."""
        ...

    def remove(self, job_id: str) -> bool:
        """Deletes the row and its events; False where there is none."""
        ...

    def tell(self, job_id: str, type_: EventType, data: Mapping[str, Any]) -> int:
        """Appends an event; its seq. Old `progress` and `preview` events are let go."""
        ...

    def events(self, job_id: str, *, after: int, limit: int) -> list[StyleEvent]:
        """At most `limit` events that follow that seq, in order."""
        ...


class StyleFiles(Protocol):
    """The files of renders, a folder for each job; nobody else may read them. Thread-safe.

    Names: `content`, `style-1`..., `mask-1`..., and under an attempt's token `3/preview-12`, `3/checkpoint-40`,
    `3/result`. A file is written once, and never changed.
    """

    @property
    def home(self) -> str:
        """The id of the place where these files lie; the same for every process of one home."""
        ...

    def make(self, job_id: str) -> None:
        """Makes the job's folder."""
        ...

    def put(self, job_id: str, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all; on the disk when this returns.

        Raises FileNotFoundError where the job's folder is gone, and OSError, such as for a disk that is full.
        """
        ...

    def copy(self, from_id: str, from_name: str, to_id: str, to_name: str) -> None:
        """Gives another job the same file. Raises FileNotFoundError, OSError."""
        ...

    def get(self, job_id: str, name: str) -> bytes:
        """The file. Raises FileNotFoundError."""
        ...

    def open(self, job_id: str, name: str) -> BinaryIO:
        """The same, to be read piece by piece; it can be read to its end though it be removed. Raises the same."""
        ...

    def names(self, job_id: str) -> list[str]:
        """The names of the files that lie here; none where the job has none."""
        ...

    def drop(self, job_id: str, name: str) -> None:
        """Removes one file, if it is there."""
        ...

    def keep_only(self, job_id: str, names: Sequence[str]) -> None:
        """Removes every other file of that job."""
        ...

    def remove(self, job_id: str) -> int:
        """Removes the folder; how many files there were. Whoever writes into it afterwards gets FileNotFoundError."""
        ...

    def held(self, older_than_s: float = 0.0) -> list[str]:
        """The jobs whose folder lies here and was not touched for that long."""
        ...

    def sweep(self) -> None:
        """Removes what a removal that was cut short has left behind."""
        ...


@dataclass(frozen=True, slots=True)
class Checked:
    """A render that can be made. options: as JSON, nothing left open; memory_bytes: its peak, estimated."""

    medium: str
    media_type: str
    steps: int
    scales: int
    memory_bytes: int
    options: Mapping[str, Any]
    engine: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The file that was made. facts: such as `width` and `height`."""

    content: bytes
    media_type: str
    suffix: str
    facts: Mapping[str, Any]


class Shown(Protocol):
    """One step of a render. Step and scale count from 1. What it makes, it makes when asked, until the next step."""

    @property
    def step(self) -> int:
        """Steps done, of all scales."""
        ...

    @property
    def scale(self) -> int:
        """The scale at work."""
        ...

    @property
    def last_of_scale(self) -> bool:
        """Whether the next step is one of the next scale, or there is none."""
        ...

    @property
    def losses(self) -> Mapping[str, Any]:
        """`total`, `content`, `style`: numbers; `per_layer`: layer -> number."""
        ...

    @property
    def evaluations(self) -> int:
        """How often the loss was computed."""
        ...

    @property
    def warning(self) -> str | None:
        """What went wrong in this step, and was mended."""
        ...

    def preview(self) -> tuple[bytes, str]:
        """(file, media type)."""
        ...

    def state(self) -> bytes:
        """What the render can go on from."""
        ...

    def result(self) -> Rendered:
        """The file, as it is now."""
        ...


class Renderer(Protocol):
    """Whoever renders. Options are JSON values; masks in them are base64."""

    def check(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> Checked:
        """What the render will be. Raises InvalidOption, TooLarge, UnreadableMedia, and the ImageRefused errors."""
        ...

    def render(
        self,
        content: bytes,
        styles: Sequence[bytes],
        options: Mapping[str, Any],
        *,
        state: bytes | None,
        beat: Callable[[], object],
    ) -> Generator[Shown, None, None]:
        """A value after each step; closing the generator stops it. state: what it goes on from, exactly.

        beat: called several times a step, and what it raises passes through. Raises OtherState, and what `check` does.
        """
        ...

    def peak_memory_bytes(self) -> int | None:
        """The most memory that this process has used, where it can be told."""
        ...
