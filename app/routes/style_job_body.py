"""A style job as it is shown: by its routes, and in its events."""

import hashlib
from collections.abc import Mapping
from typing import Any, NotRequired

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from app.actions.style.find import StyleState
from app.domain.style_job import StyleJob
from app.routes.answers import answer
from app.routes.job_body import JobFacts, ProgressBody, job_facts, progress_body

KIND = "style"
# Of the row's own facts of a file: where it lies is nobody else's business.
_INSIDE = ("name", "suffix")


class FileBody(TypedDict):
    """A file that was sent."""

    bytes: int
    sha256: str


class StyleInputBody(TypedDict):
    """What was asked for. options: as they are used, nothing left open, masks as SHA-256."""

    medium: str
    content: FileBody
    styles: list[FileBody]
    options: dict[str, Any]
    person_id: str | None
    resumed_from: str | None


class LossesBody(TypedDict):
    """The cost, in the convention of the job; null where a number grew beyond all bounds."""

    total: float | None
    content: float | None
    style: float | None
    per_layer: dict[str, float | None]


class StyleProgressBody(ProgressBody):
    """scale: from 1, 0 before the first step; losses and steps_per_s: null until they are known."""

    scale: int
    scales: int
    losses: LossesBody | None
    steps_per_s: float | None


class QueueBody(TypedDict):
    """position: 1 for the one that is begun next; eta_s: seconds until then, null while there is no telling."""

    position: int
    eta_s: float | None


class PreviewBody(TypedDict):
    """The latest preview: of which step."""

    url: str
    step: int


class OutputBody(TypedDict):
    """The result; a picture also has its width and height."""

    url: str
    media_type: str
    bytes: int
    sha256: str
    width: NotRequired[int]
    height: NotRequired[int]


class MetricsBody(TypedDict):
    """Each null until it is known."""

    queue_s: float | None
    run_s: float | None
    peak_memory_bytes: int | None
    evaluations: int | None


class StyleUrlsBody(TypedDict):
    """Where to look further."""

    self: str
    events: str
    preview: str
    result: str
    cancel: str
    resume: str


class StyleBody(JobFacts):
    """A render. queue: null once it was begun; preview, output: null until there is one."""

    progress: StyleProgressBody
    cancel_asked: bool
    input: StyleInputBody
    queue: QueueBody | None
    preview: PreviewBody | None
    output: OutputBody | None
    metrics: MetricsBody
    engine: dict[str, Any]
    seed: int | None
    urls: StyleUrlsBody


class StylePageBody(TypedDict):
    """One page, the newest first."""

    items: list[StyleBody]
    next_cursor: str | None


def style_body(state: StyleState) -> StyleBody:
    """Everything that is told of a style job."""
    job, path = state.job, path_of(state.job.id)
    progress: StyleProgressBody = {
        **progress_body(job, state.eta_s),
        "scale": job.scale,
        "scales": job.scales,
        "losses": _losses(job.losses),
        "steps_per_s": None if job.steps_per_s is None else round(job.steps_per_s, 3),
    }
    return {
        **job_facts(job, KIND),
        "progress": progress,
        "cancel_asked": job.cancel_asked,
        "input": _input(job),
        "queue": _queue(state),
        "preview": None if job.preview is None else preview_body(job.id, job.preview["step"]),
        "output": None if job.output is None else _output(f"{path}/result", job.output),
        "metrics": _metrics(job.metrics),
        "engine": dict(job.engine),
        "seed": job.options.get("seed"),
        "urls": {
            "self": path,
            "events": f"{path}/events",
            "preview": f"{path}/preview",
            "result": f"{path}/result",
            "cancel": f"{path}/cancel",
            "resume": f"{path}/resume",
        },
    }


def preview_body(job_id: str, step: int) -> PreviewBody:
    """The step stands in the address too: a browser that is given another one looks again."""
    return {"url": f"{path_of(job_id)}/preview?step={step}", "step": step}


def path_of(job_id: str) -> str:
    """Where the job is."""
    return f"/style-jobs/{job_id}"


def tagged(request: Request, state: StyleState) -> Response:
    """The job with an ETag of all that is told; 304 for a caller who has that."""
    shown = answer(style_body(state))
    etag = f'"{hashlib.sha256(bytes(shown.body)).hexdigest()[:32]}"'
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": etag})
    shown.headers["ETag"] = etag
    return shown


def _input(job: StyleJob) -> StyleInputBody:
    return {
        "medium": job.medium,
        "content": job.input["content"],
        "styles": list(job.input["styles"]),
        "options": dict(job.options),
        "person_id": job.person_id,
        "resumed_from": job.resumed_from,
    }


def _queue(state: StyleState) -> QueueBody | None:
    if state.position is None:
        return None
    begins = state.begins_in_s
    return {"position": state.position, "eta_s": None if begins is None else round(begins, 1)}


def _output(url: str, facts: Mapping[str, Any]) -> OutputBody:
    told: dict[str, Any] = {name: value for name, value in facts.items() if name not in _INSIDE}
    return {**told, "url": url}  # type: ignore[typeddict-item]


def _losses(losses: Mapping[str, Any] | None) -> LossesBody | None:
    if losses is None:
        return None
    return {
        "total": losses["total"],
        "content": losses["content"],
        "style": losses["style"],
        "per_layer": dict(losses["per_layer"]),
    }


def _metrics(metrics: Mapping[str, Any]) -> MetricsBody:
    return {
        "queue_s": _seconds(metrics.get("queue_s")),
        "run_s": _seconds(metrics.get("run_s")),
        "peak_memory_bytes": metrics.get("peak_memory_bytes"),
        "evaluations": metrics.get("evaluations"),
    }


def _seconds(told: float | None) -> float | None:
    return None if told is None else round(told, 3)
