import json
import re

import pytest

from app.errors import Busy
from app.routes.access import TABLE


@pytest.mark.parametrize("sent", ["abc-123", "A.b_c", "x" * 64])
def test_a_sane_request_id_is_taken_returned_and_logged(service, sent):
    answer = service.call("GET", "/info", headers={"X-Request-ID": sent})
    assert answer.headers["x-request-id"] == sent
    assert json.loads(service.log.getvalue().splitlines()[-1])["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\tb", "<script>", "é", "-x", "a;b", None])
def test_any_other_request_id_is_replaced(service, sent):
    headers = [] if sent is None else [("X-Request-ID", sent.encode("latin-1"))]
    answer = service.call("GET", "/health/live", key=None, headers=dict(headers))
    assert answer.headers["x-request-id"] not in ("", sent)
    assert len(answer.headers["x-request-id"]) == 32


def assert_safe(answer):
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert len(headers["x-request-id"]) == 32
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/info", "/health/live", "/nowhere", "/docs", "/docs/style.css"])
def test_every_answer_has_safe_headers(service, path):
    assert_safe(service.call("GET", path))


@pytest.mark.parametrize("route", sorted(TABLE))
def test_every_route_has_safe_headers_whether_it_answers_or_refuses(service, route):
    method, path = route.split(" ")
    path = re.sub(r"{\w+}", "some-id", path)
    for key in (None, "bad", ""):
        assert_safe(service.call(method, path, key=key))


JPEG = {"Content-Type": "image/jpeg"}
REFUSALS = {
    400: lambda s: s.call("POST", "/keys", content=b"{", headers={"Content-Type": "application/json"}),
    401: lambda s: s.call("GET", "/info", key="bad"),
    403: lambda s: s.call("GET", "/keys", key=s.key("detect")),
    404: lambda s: s.call("GET", "/persons/nobody"),
    405: lambda s: s.call("DELETE", "/info"),
    406: lambda s: s.call("GET", "/info", headers={"Accept": "text/html"}),
    409: lambda s: [s.call("DELETE", f"/keys/{key['id']}") for key in s.call("GET", "/keys").json()["items"]][-1],
    413: lambda s: s.call("POST", "/detect", content=b"x" * (s.desk.settings.max_body_bytes + 1), headers=JPEG),
    415: lambda s: s.call("POST", "/detect", content=b"x"),
    422: lambda s: s.call("POST", "/detect", content=b"x", headers=JPEG),
    428: lambda s: s.call("PATCH", "/persons/nobody", json={"name": "x"}),
    429: lambda s: [s.call("GET", "/info", key=s.slow) for _ in range(2)][1],
    500: lambda s: s.call("POST", "/detect", content=b"fault", headers=JPEG),
    503: lambda s: s.call("POST", "/detect", content=b"busy", headers=JPEG),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_of_any_status_has_safe_headers(service, reader, status):
    faults = {b"fault": RuntimeError, b"busy": Busy}
    read = reader.read

    def fail(image, **how):
        if image in faults:
            raise faults[image]
        return read(image, **how)

    reader.read = fail
    service.slow = service.key("detect", rate_per_minute=1)
    answer = REFUSALS[status](service)
    assert answer.status_code == status, answer.text
    assert_safe(answer)


@pytest.mark.parametrize("phase", ["starting", "filling", "stopping"])
def test_so_has_a_service_that_takes_no_work(service, phase):
    key = service.admin
    service.app.state.gate.phase = phase
    answer = service.call("GET", "/info", key=key)
    assert answer.status_code == 503
    assert_safe(answer)
    service.app.state.gate.phase = "ready"


def test_only_what_came_by_tls_is_told_to_come_by_tls_for_ever(service):
    assert "strict-transport-security" not in service.call("GET", "/info").headers
    answer = service.call("GET", "https://onelook.test/nowhere")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_one_line_a_request_tells_what_was_done_and_nothing_secret(service, pictures):
    key = service.key("enroll")
    fields = {"name": "Ann-Name", "person_id": "ann-id", "consent": "signed-here"}
    raw = {"Content-Type": "image/jpeg"}
    service.call("POST", "/enroll", key=key, params=fields, content=pictures.of("ann"), headers=raw)
    service.call("GET", "/persons/ann-id")
    lines = [json.loads(line) for line in service.log.getvalue().splitlines()]
    enrolled, read = lines[-2:]
    assert (enrolled["event"], enrolled["method"], enrolled["route"], enrolled["status"]) == (
        "request",
        "POST",
        "/enroll",
        201,
    )
    assert enrolled["key_id"] == key.split("_")[1]
    assert enrolled["ms"] > 0
    assert read["route"] == "/persons/{person_id}"
    for secret in (key.rsplit("_", 1)[1], "Ann-Name", "ann-id", "signed-here", "olk_"):
        assert secret not in service.log.getvalue()


def test_what_the_caller_makes_up_becomes_no_label(service):
    service.call("GET", "/made-up-path", key=None)
    service.call("MADEUP", "/info", key=None)
    metrics = service.call("GET", "/metrics").text
    assert "made-up" not in metrics
    assert "MADEUP" not in metrics
    assert 'method="OTHER"' in metrics
