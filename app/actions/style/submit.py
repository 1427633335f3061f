"""Files and options -> a render that waits for its turn."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.actions.people import found
from app.actions.style.telling import tell_status
from app.domain.gallery import Within
from app.domain.style_job import StyleJob
from app.errors import InvalidOption, QueueFull
from app.ports import Checked, Identifiers, Renderer, Store, StyleFiles, UnitOfWork

# Called with what is about to be committed, in the same transaction.
Also = Callable[[UnitOfWork, StyleJob], None]
# What another render is gone on from: its id, the name of its checkpoint, and the step.
From = tuple[str, Mapping[str, Any] | None]


def nothing(uow: UnitOfWork, job: StyleJob) -> None:
    """Does nothing beside."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is asked for. options: as JSON, each as in docs/http.md; masks in it are base64. person_id: who is shown."""

    content: bytes
    styles: Sequence[bytes]
    options: Mapping[str, Any]
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class SubmitStyle:
    """Takes in a render, once it is known that it can be made; each call makes a job of its own.

    Raises InvalidOption, TooLarge, UnreadableMedia, the ImageRefused errors; UnknownPerson for whom it would show;
    QueueFull where `most_waiting` wait already; OSError where the files cannot be kept. Writes the files, and the row
    with its first event in one transaction. kept: how long it may wait, and is kept once it has ended.
    """

    store: Store
    files: StyleFiles
    renderer: Renderer
    identifiers: Identifiers
    kept: timedelta
    most_waiting: int

    def __call__(
        self,
        submission: Submission,
        owner: str,
        *,
        within: Within = None,
        also: Also = nothing,
        after: From | None = None,
    ) -> StyleJob:
        """The job as stored. within: the galleries that the caller is bound to; after: the render that it goes on from.

        also: called with what is about to be committed, in the same transaction.
        """
        # Before the files are read, which takes long: a flood of renders costs nothing.
        with self.store.read() as uow:
            self._refuse(uow, submission, within)
        checked = self.renderer.check(submission.content, submission.styles, submission.options)
        job_id = self.identifiers.new("sty")
        try:
            # The files before their row: a row without files would fail, files without a row are swept away.
            checkpoint = self._keep(job_id, submission, after)
            with self.store.write() as uow:
                self._refuse(uow, submission, within)
                job = self._job(uow, job_id, submission, owner, checked, after, checkpoint)
                uow.style_jobs.add(job)
                tell_status(uow, job)
                job = uow.style_jobs.get(job_id) or job
                also(uow, job)
                uow.commit()
        except BaseException:
            self._let_go(job_id)
            raise
        return job

    def _refuse(self, uow: UnitOfWork, submission: Submission, within: Within) -> None:
        if submission.person_id is not None:
            found(uow, submission.person_id, within)
        if uow.style_jobs.count_queued(self.files.home) >= self.most_waiting:
            raise QueueFull

    def _keep(self, job_id: str, submission: Submission, after: From | None) -> Mapping[str, Any] | None:
        """Writes the files; the checkpoint that the job begins with."""
        self.files.make(job_id)
        self.files.put(job_id, "content", submission.content)
        for number, style in enumerate(submission.styles, 1):
            self.files.put(job_id, f"style-{number}", style)
        for number, mask in enumerate(_masks(submission.options), 1):
            if mask is not None:
                self.files.put(job_id, f"mask-{number}", mask)
        if after is None or after[1] is None:
            return None
        checkpoint = {**after[1], "name": f"0/checkpoint-{after[1]['step']}"}
        self.files.copy(after[0], after[1]["name"], job_id, checkpoint["name"])
        return checkpoint

    def _job(
        self,
        uow: UnitOfWork,
        job_id: str,
        submission: Submission,
        owner: str,
        checked: Checked,
        after: From | None,
        checkpoint: Mapping[str, Any] | None,
    ) -> StyleJob:
        now = uow.style_jobs.now()
        step = 0 if checkpoint is None else int(checkpoint["step"])
        return StyleJob(
            id=job_id,
            owner=owner,
            home=self.files.home,
            digest=_digest(submission),
            options=_without_masks(checked.options, submission.options),
            input={"content": _told(submission.content), "styles": [_told(style) for style in submission.styles]},
            medium=checked.medium,
            media_type=checked.media_type,
            steps=checked.steps,
            scales=checked.scales,
            memory_bytes=checked.memory_bytes,
            engine=checked.engine,
            created_at=now,
            expires_at=now + self.kept,
            person_id=submission.person_id,
            resumed_from=None if after is None else after[0],
            step=step,
            begun_step=step,
            checkpoint=checkpoint,
        )

    def _let_go(self, job_id: str) -> None:
        """Removes the files, unless the row is there all the same: nobody may know whether a commit was kept."""
        with self.store.read() as uow:
            if uow.style_jobs.get(job_id) is None:
                self.files.remove(job_id)


def with_masks(files: StyleFiles, job: StyleJob) -> dict[str, Any]:
    """The options of a job as a renderer takes them, its masks read from their files. Raises FileNotFoundError."""
    masks = [
        None if mask is None else base64.b64encode(files.get(job.id, f"mask-{number}")).decode()
        for number, mask in enumerate(job.options.get("masks") or (), 1)
    ]
    return {**job.options, "masks": masks}


def _without_masks(options: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """A mask may be as large as a picture: it lies in a file, and the row has its digest."""
    digests = [None if mask is None else hashlib.sha256(mask).hexdigest() for mask in _masks(asked)]
    return {**options, "masks": digests}


def _masks(options: Mapping[str, Any]) -> list[bytes | None]:
    try:
        return [None if mask is None else base64.b64decode(mask, validate=True) for mask in options.get("masks") or ()]
    except (TypeError, ValueError, binascii.Error):
        raise InvalidOption("masks", "A mask is a picture file in base64, or null for everywhere.") from None


def _told(file: bytes) -> dict[str, Any]:
    return {"bytes": len(file), "sha256": hashlib.sha256(file).hexdigest()}


def _digest(submission: Submission) -> str:
    digest = hashlib.sha256(json.dumps(dict(submission.options), sort_keys=True).encode())
    for file in (submission.content, *submission.styles):
        digest.update(hashlib.sha256(file).digest())
    return digest.hexdigest()
