"""GET /metrics: counts and times for Prometheus; nothing of anybody's face, name or id."""

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from app.actions.style.queue import StyleQueue
from app.errors import Unavailable
from app.routes import body
from app.routes.described import refusals
from app.routes.desk import Desk
from app.routes.facts import Facts

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry a service, so that two in one process do not share it. Fits envelope.Counts.

    shared: the folder of `count_in`, where the processes of one service count together; None: this one counts alone.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._told = self.registry
        if shared is not None:
            self._told = CollectorRegistry()
            MultiProcessCollector(self._told, str(shared))  # type: ignore[no-untyped-call]
        self._requests = Counter(
            "onelook_requests_total", "requests", ["method", "route", "status"], registry=self.registry
        )
        self._decisions = Counter("onelook_decisions_total", "decisions", ["route", "decision"], registry=self.registry)
        self._seconds = Histogram(
            "onelook_request_seconds", "time of a request", ["route"], registry=self.registry, buckets=SECONDS
        )
        self._steps = Histogram(
            "onelook_step_seconds", "time of a step of a decision", ["step"], registry=self.registry, buckets=SECONDS
        )
        self._lock_outs = Counter(
            "onelook_lock_outs_total", "addresses locked out for guessing", registry=self.registry
        )
        self._workers = self._gauge("onelook_workers", "API processes that serve", "livesum")
        self._waiting = self._gauge("onelook_inference_waiting", "pictures that wait to be read", "livesum")
        # Every process holds the same; the one that answers has looked just now.
        self._persons = self._gauge("onelook_gallery_persons", "persons held", "livemostrecent", "gallery")
        self._templates = self._gauge("onelook_gallery_templates", "templates held", "livemostrecent", "gallery")
        self._seq = self._gauge("onelook_index_seq", "the last change that the index follows", "livemostrecent")
        self._replicas = self._gauge(
            "onelook_replicas", "standbys by whether they help to search", "livemostrecent", "state"
        )
        self._renders = self._gauge("onelook_style_jobs", "style jobs by status", "livemostrecent", "status")
        self._oldest_render = self._gauge(
            "onelook_style_oldest_queued_seconds", "since when the oldest style job waits", "livemostrecent"
        )
        self._audit_waiting = self._gauge("onelook_audit_waiting", "audit rows that wait to be written", "livesum")
        self._audit_lost = Counter("onelook_audit_lost_total", "audit rows that were lost", registry=self.registry)
        self._lost_before = 0
        self._workers.set(1)
        self._waiting.set(0)
        self._audit_waiting.set(0)

    def count(self, method: str, route: str, status: int, seconds: float, facts: Facts) -> None:
        """Counts one request that has ended."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)
        for decision in facts.decisions:
            self._decisions.labels(route, decision).inc()
        if facts.timings is not None:
            for step, ms in asdict(facts.timings).items():
                self._steps.labels(step).observe(ms / 1000)
        if facts.locks_out:
            self._lock_outs.inc()

    def note_waiting(self, pictures: int) -> None:
        """How many pictures wait in this process, for whichever process is asked next."""
        self._waiting.set(pictures)

    def note_trail(self, waiting: int, lost: int) -> None:
        """How many rows of the audit trail wait in this process, and how many it has lost since its start."""
        self._audit_waiting.set(waiting)
        self._audit_lost.inc(lost - self._lost_before)
        self._lost_before = lost

    def text(self, desk: Desk | None) -> bytes:
        """Everything, in Prometheus' text format; may ask the database. Without one the sizes stay as they were."""
        if desk is not None:
            self.note_waiting(desk.reader.waiting())
            self.note_trail(desk.trail.waiting, desk.trail.lost)
            with suppress(Unavailable):
                self._note_gallery(*desk.gallery.size(), desk.gallery.seq)
            with suppress(Unavailable):
                self._note_renders(desk.count_style())
            if states := desk.about.replicas().values():
                helping = sum(state == "ok" for state in states)
                self._replicas.labels("ok").set(helping)
                self._replicas.labels("dropped").set(len(states) - helping)
        return generate_latest(self._told)

    def _note_gallery(self, persons: int, templates: int, seq: int) -> None:
        self._persons.labels("all").set(persons)
        self._templates.labels("all").set(templates)
        self._seq.set(seq)

    def _note_renders(self, queue: StyleQueue) -> None:
        self._renders.labels("queued").set(queue.queued)
        self._renders.labels("running").set(queue.running)
        self._oldest_render.set(queue.oldest_s)

    def _gauge(self, name: str, about: str, together: Literal["livesum", "livemostrecent"], *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry, multiprocess_mode=together)


def count_in(shared: Path, number: int) -> None:
    """From here on the metrics of this process are counted in files of that folder, under the number of the process.

    A process that takes the number over goes on with the counts of the one before it. Before any `Metrics` is made.
    """
    # The library reads it whenever it begins a file.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=PlainTextResponse, responses=refusals("invalid_field"))
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms."""
    body.no_query(request)
    found: Metrics = request.app.state.metrics
    desk: Desk | None = request.app.state.desk
    told = found.text(None) if desk is None else await desk.on_rows(found.text, desk)
    return Response(told, media_type=CONTENT_TYPE_PLAIN_0_0_4)
