"""The steps of one attempt: what is kept, shown and told after each."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

from app.actions.style.lease import Halted, StyleLease
from app.actions.style.submit import with_masks
from app.actions.style.telling import end
from app.domain.job import Status
from app.domain.style_job import EventType, OtherState, StyleJob
from app.errors import Unavailable
from app.ports import Renderer, Shown, Store, StyleFiles, UnitOfWork

PROGRESS_S, PREVIEW_S, CHECKPOINT_S = 0.5, 2.0, 10.0
MOST_WARNINGS = 10
ANEW = "The render begins anew: what was kept of it is not here, or belongs to another version of the engine."


class FilesGone(Exception):
    """The files of the job are not here, or not any more."""


class Attempt:
    """One attempt at a render, in one thread."""

    def __init__(
        self,
        store: Store,
        files: StyleFiles,
        renderer: Renderer,
        job: StyleJob,
        lease: StyleLease,
        report: Callable[[str], object],
        ticks: Callable[[], float],
    ) -> None:
        self._store, self._files, self._renderer, self._report = store, files, renderer, report
        self._job, self._lease, self._ticks = job, lease, ticks
        self._begun_at = ticks()
        self._told_at = self._previewed_at = self._checked_at = -math.inf
        self._preview, self._checkpoint = job.preview, job.checkpoint
        self._warnings: list[dict[str, Any]] = []
        self._shown: Shown | None = None
        self._finished: dict[str, Any] = {}
        #: As its row counts them: since a checkpoint was last kept.
        self.attempts = job.attempt

    def render(self) -> None:
        """To the last step, whose file is written when this returns.

        Raises Halted, FilesGone, and what the renderer raises.
        """
        try:
            self._render(self._state())
        except OtherState:
            self._warn(ANEW)
            self._checkpoint = None
            self._render(None)

    def keep(self) -> None:
        """Keeps what the last step has come to, for whoever goes on. Writes the row. Raises Halted, FilesGone."""
        if self._shown is not None:
            files = {"checkpoint": self._checkpoint, "preview": self._preview}
            step = self._shown.step
            self._write(self._shown, [name for name, file in files.items() if file is None or file["step"] != step])

    def end(self, uow: UnitOfWork, status: Status, kept: timedelta, error: dict[str, Any] | None = None) -> bool:
        """Ends the job with what it has come to; False where another attempt has it."""
        told = self._progress(self._shown) if self._shown is not None and self._finished else {}
        if told:
            uow.style_jobs.tell(self._job.id, "progress", told)
            self._tell_preview(uow)
        changes = {**told, **self._finished, "metrics": self._metrics()}
        return end(uow, self._job, status, kept, error=error, **changes)

    def _render(self, state: bytes | None) -> None:
        job = self._job
        steps = self._renderer.render(*self._inputs(), state=state, beat=self._lease.beat)
        with closing(steps):
            for shown in steps:
                self._lease.stepped()
                self._shown = shown
                if shown.warning is not None:
                    self._warn(shown.warning)
                if shown.step >= job.steps:
                    break
                self._keep_and_tell(shown)
                self._lease.between()
            if self._shown is None:
                raise OtherState("there was nothing left to render")
            self._finish(self._shown)

    def _state(self) -> bytes | None:
        if self._checkpoint is None:
            return None
        try:
            return self._files.get(self._job.id, self._checkpoint["name"])
        except FileNotFoundError:
            raise OtherState from None

    def _inputs(self) -> tuple[bytes, list[bytes], dict[str, Any]]:
        job = self._job
        try:
            styles = [self._files.get(job.id, f"style-{number}") for number, _ in enumerate(job.input["styles"], 1)]
            return self._files.get(job.id, "content"), styles, with_masks(self._files, job)
        except FileNotFoundError as e:
            raise FilesGone from e

    def _keep_and_tell(self, shown: Shown) -> None:
        now = self._ticks()
        kept = []
        # What is shown first is shown at once: nobody shall wait in front of nothing.
        if shown.last_of_scale or now - self._checked_at >= CHECKPOINT_S:
            kept.append("checkpoint")
        if shown.last_of_scale or now - self._previewed_at >= PREVIEW_S:
            kept.append("preview")
        if kept or now - self._told_at >= PROGRESS_S:
            self._write(shown, kept)

    def _write(self, shown: Shown, kept: Sequence[str]) -> None:
        """One fenced write of what is new, with its events; the files of before go after it. Raises Halted."""
        before = [self._preview, self._checkpoint]
        if "checkpoint" in kept:
            self._checkpoint = self._put_checkpoint(shown) or self._checkpoint
        if "preview" in kept:
            self._preview = self._put_preview(shown) or self._preview
        changes: dict[str, Any] = {"preview": self._preview, "checkpoint": self._checkpoint, "metrics": self._metrics()}
        if self._checkpoint is not before[1]:
            # It gets on: however often it is lost from here on, it has all its attempts again.
            changes["attempt"] = 1
        told = self._progress(shown)
        now = self._ticks()
        tell = now - self._told_at >= PROGRESS_S
        try:
            with self._store.write() as uow:
                cancel = uow.style_jobs.write(self._job.id, self._job.token, **told, **changes)
                self._lease.hear(cancel)
                if cancel is None:
                    raise Halted("lost", within_step=False)
                self._tell(uow, told if tell else None, new_preview=self._preview is not before[0])
                uow.commit()
        except Unavailable:  # the render goes on: the row hears of it later, and the files of before stay
            self._preview, self._checkpoint = before
            return
        self.attempts = changes.get("attempt", self.attempts)
        self._told_at = now if tell else self._told_at
        self._warnings.clear()
        for old, new in zip(before, (self._preview, self._checkpoint), strict=True):
            if old is not None and new is not None and old["name"] != new["name"]:
                self._files.drop(self._job.id, old["name"])

    def _tell(self, uow: UnitOfWork, progress: Mapping[str, Any] | None, *, new_preview: bool) -> None:
        tell: Callable[[EventType, Mapping[str, Any]], int] = lambda type_, data: uow.style_jobs.tell(  # noqa: E731
            self._job.id, type_, data
        )
        for warning in self._warnings:
            tell("warning", warning)
        if progress is not None:
            tell("progress", {**progress, "steps": self._job.steps, "scales": self._job.scales})
        if new_preview:
            self._tell_preview(uow)

    def _tell_preview(self, uow: UnitOfWork) -> None:
        if self._preview is not None:
            shown = {"step": self._preview["step"], "media_type": self._preview["media_type"]}
            uow.style_jobs.tell(self._job.id, "preview", shown)

    def _finish(self, shown: Shown) -> None:
        """Writes the file; nobody sees it before `end` publishes it. Raises OSError."""
        made = shown.result()
        facts = self._put("result", made.content)
        output = {**dict(made.facts), **facts, "media_type": made.media_type, "suffix": made.suffix}
        self._preview = self._put_preview(shown) or self._preview
        self._checkpoint = self._put_checkpoint(shown) or self._checkpoint
        self._finished = {"output": output, "preview": self._preview, "checkpoint": self._checkpoint}

    def _put_preview(self, shown: Shown) -> dict[str, Any] | None:
        content, media_type = shown.preview()
        facts = self._put_if_possible(f"preview-{shown.step}", content)
        self._previewed_at = self._ticks()
        return None if facts is None else {**facts, "step": shown.step, "media_type": media_type}

    def _put_checkpoint(self, shown: Shown) -> dict[str, Any] | None:
        facts = self._put_if_possible(f"checkpoint-{shown.step}", shown.state())
        self._checked_at = self._ticks()
        return None if facts is None else {"name": facts["name"], "step": shown.step}

    def _put_if_possible(self, name: str, content: bytes) -> dict[str, Any] | None:
        try:
            return self._put(name, content)
        except OSError as e:  # such as a disk that is full: the render itself may go on
            self._report(f"the render {self._job.id} could not keep its {name}: {e.strerror}")
            return None

    def _put(self, name: str, content: bytes) -> dict[str, Any]:
        # Under its token: no two attempts write the same file.
        name = f"{self._job.token}/{name}"
        try:
            self._files.put(self._job.id, name, content)
        except FileNotFoundError as e:
            raise FilesGone from e
        return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def _progress(self, shown: Shown) -> dict[str, Any]:
        step_s = self._lease.step_s
        return {
            "step": shown.step,
            "scale": shown.scale,
            "losses": _finite(shown.losses),
            "evaluations": shown.evaluations,
            "steps_per_s": 1 / step_s if step_s else None,
        }

    def _metrics(self) -> dict[str, Any]:
        job, before = self._job, dict(self._job.metrics)
        waited = None if job.started_at is None else (job.started_at - job.created_at).total_seconds()
        peak = self._renderer.peak_memory_bytes()
        return {
            "queue_s": waited,
            "run_s": float(before.get("run_s") or 0.0) + self._ticks() - self._begun_at,
            "peak_memory_bytes": max(filter(None, (peak, before.get("peak_memory_bytes"))), default=None),
            "evaluations": before.get("evaluations") if self._shown is None else self._shown.evaluations,
        }

    def _warn(self, detail: str) -> None:
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append({"detail": detail, "step": 0 if self._shown is None else self._shown.step})


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
