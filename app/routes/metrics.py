"""GET /metrics: counts and times for Prometheus; nothing of anybody's face, name or id."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.routes import body
from app.routes.described import refusals
from app.routes.desk import Desk
from app.routes.facts import Facts

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry a service, so that two in one process do not share it. Fits envelope.Counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self._waiting = Gauge("onelook_inference_waiting", "pictures that wait to be read", registry=self.registry)
        self._persons = Gauge("onelook_gallery_persons", "persons held", ["gallery"], registry=self.registry)
        self._templates = Gauge("onelook_gallery_templates", "templates held", ["gallery"], registry=self.registry)
        self._seq = Gauge("onelook_index_seq", "the last change that the index follows", registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float, facts: Facts) -> None:
        """Counts one request that has ended."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)
        for decision in facts.decisions:
            self._decisions.labels(route, decision).inc()
        if facts.timings is not None:
            for step, ms in asdict(facts.timings).items():
                self._steps.labels(step).observe(ms / 1000)

    def text(self, desk: Desk | None) -> bytes:
        """Everything, in Prometheus' text format."""
        if desk is not None:
            self._waiting.set(desk.reader.waiting())
            persons, templates = desk.gallery.size()
            self._persons.labels("all").set(persons)
            self._templates.labels("all").set(templates)
            self._seq.set(desk.gallery.seq)
        return generate_latest(self.registry)


router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=PlainTextResponse, responses=refusals("invalid_field"))
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms."""
    body.no_query(request)
    found: Metrics = request.app.state.metrics
    return Response(found.text(request.app.state.desk), media_type=CONTENT_TYPE_PLAIN_0_0_4)
