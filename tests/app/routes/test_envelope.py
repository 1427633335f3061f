import json

import pytest


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


@pytest.mark.parametrize("path", ["/info", "/health/live", "/nowhere", "/docs", "/docs/style.css"])
def test_every_answer_has_safe_headers(service, path):
    headers = service.call("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


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
