import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.errors import Misconfigured
from app.routes.traces import SpanTraces

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def traced(make_service, spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    service = make_service()
    service.app.state.counts.append(SpanTraces(provider))
    return service


def test_a_decision_is_a_span_with_its_steps_inside_and_in_order(traced, spans, pictures, enrolled):
    enrolled("ann")
    answer = traced.photo("/identify", pictures.of("ann"))
    assert answer.json()["decision"] == "recognized"
    (request,) = [span for span in spans.get_finished_spans() if span.name == "POST /identify"]
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["onelook.request_id"] == answer.headers["x-request-id"]
    assert request.attributes["onelook.decisions"] == ("recognized",)
    steps = [s for s in spans.get_finished_spans() if s.parent and s.parent.span_id == request.context.span_id]
    assert [step.name for step in steps][:5] == ["queue", "decode", "detect", "align", "encode"]
    assert all(a.end_time == b.start_time for a, b in itertools.pairwise(steps))


def test_nothing_of_a_person_is_in_a_span(traced, spans, pictures, enrolled):
    enrolled("ann", name="Ann Secret", external_id="e-secret")
    traced.photo("/identify", pictures.of("ann"))
    traced.call("GET", "/persons/ann")
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "GET /persons/{person_id}" in told
    for secret in ("Secret", "e-secret", "/persons/ann", "0.99"):
        assert secret not in told


def test_the_callers_trace_goes_on(traced, spans):
    traced.call("GET", "/health/live", headers={"traceparent": PARENT})
    traced.call("GET", "/health/live", headers={"traceparent": "nonsense"})
    first, second = (span for span in spans.get_finished_spans() if span.name == "GET /health/live")
    assert f"{first.context.trace_id:032x}" == PARENT[3:35]
    assert f"{first.parent.span_id:016x}" == PARENT[36:52]
    assert second.parent is None


def test_a_failed_request_is_marked(traced, spans, pictures, reader):
    def fail():
        raise RuntimeError

    reader.before_reading = fail
    traced.photo("/identify", pictures.of("ann"))
    (span,) = [span for span in spans.get_finished_spans() if span.name == "POST /identify"]
    assert not span.status.is_ok


def test_spans_reach_a_collector():
    received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        traces = SpanTraces.to(f"http://127.0.0.1:{server.server_port}/v1/traces", 1.0, "0")
        traces.count("GET", "/info", 200, 0.01, _facts())
        traces.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, content),) = received
    assert path == "/v1/traces"
    assert b"GET /info" in content


def test_without_the_packages_the_setting_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(Misconfigured, match="traces"):
        SpanTraces.to("http://127.0.0.1:1/v1/traces", 1.0, "0")


def _facts():
    from app.routes.facts import Facts

    return Facts(json.dumps("id"))
