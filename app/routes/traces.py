"""Traces for OpenTelemetry, where they are asked for: a span a request, and one for each step of a decision."""

import time
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from app.errors import Misconfigured
from app.routes.facts import Facts

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

SERVICE = "onelook"
# Timings in the order in which the steps follow each other; `total` and `rest` are no steps.
STEPS = ("queue", "decode", "detect", "align", "encode", "search")


class Traces(Protocol):
    """Where requests that have ended are told of."""

    def count(self, method: str, route: str, status: int, seconds: float, facts: Facts) -> None:
        """Tells of one request."""
        ...

    def close(self) -> None:
        """Sends what is still to be sent."""
        ...


class SpanTraces:
    """Fits `Traces` by OpenTelemetry. Spans are sent by a thread of their own: no request waits for it.

    A span names method, route, status, request id and key id; nothing of anybody's face, name or id.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer(SERVICE)

    @classmethod
    def to(cls, endpoint: str, share: float, version: str) -> "SpanTraces":
        """Traces sent to a collector by OTLP over HTTP. share: of the requests, 0..1, where the caller does not say.

        Raises Misconfigured when the packages for it are not installed.
        """
        try:
            sdk, sampling = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.sampling")
            export, resources = (import_module(f"opentelemetry.sdk.{name}") for name in ("trace.export", "resources"))
            otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError as e:
            raise Misconfigured(
                "ONELOOK_OTLP_ENDPOINT needs packages that are not installed: pip install 'onelook[traces]'"
            ) from e
        provider = sdk.TracerProvider(
            sampler=sampling.ParentBasedTraceIdRatio(share),
            resource=resources.Resource.create({"service.name": SERVICE, "service.version": version}),
        )
        provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=endpoint)))
        return cls(provider)

    def count(self, method: str, route: str, status: int, seconds: float, facts: Facts) -> None:
        """Makes the spans of one request, as if they had been begun when it was."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        end = time.time_ns()
        start = end - round(seconds * 1e9)
        span = self._tracer.start_span(
            f"{method} {route}",
            context=_parent(facts.traceparent),
            kind=SpanKind.SERVER,
            start_time=start,
            attributes={
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "onelook.request_id": facts.request_id,
                **({"onelook.key_id": facts.key.id} if facts.key else {}),
                **({"onelook.decisions": facts.decisions} if facts.decisions else {}),
            },
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if facts.timings is not None:
            self._steps(facts.timings, start, set_span_in_context(span))
        span.end(end)

    def close(self) -> None:
        """Sends what is still to be sent; gives up after the exporter's own time-out."""
        self._provider.shutdown()

    def _steps(self, timings: object, start: int, context: "Context") -> None:
        lasted = asdict(timings)  # type: ignore[call-overload]
        for step in STEPS:
            if lasted[step] > 0:
                begun, start = start, start + round(lasted[step] * 1e6)
                self._tracer.start_span(step, context=context, start_time=begun).end(start)


def _parent(traceparent: str | None) -> "Context | None":
    """The caller's span, by the W3C's header; None where there is none that can be read."""
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
