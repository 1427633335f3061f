import dataclasses

import pytest

from tests.app.routes.conftest import CONTENT, STYLE


class Full:
    def __init__(self, reader):
        self._reader = reader

    def __getattr__(self, name):
        return getattr(self._reader, name)

    def waiting(self):
        return 10_000


class Broken:
    """Stands for a store or an index that fails."""

    def __getattr__(self, name):
        raise RuntimeError("secret-thing")


def test_a_live_process_says_so(service):
    assert service.call("GET", "/health/live", key=None).json() == {"status": "live"}


def test_details_are_for_a_valid_key(service):
    assert service.call("GET", "/health/ready", key=None).json() == {"status": "ready"}
    assert service.call("GET", "/health/ready", key="olk_x_y").json() == {"status": "ready"}
    checks = dict.fromkeys(("database", "model", "index", "queue", "style"), "ok")
    assert service.call("GET", "/health/ready", key=service.key("detect")).json() == {
        "status": "ready",
        "checks": checks,
    }


@pytest.mark.parametrize(
    ("part", "broken", "check"),
    [
        ("reader", lambda desk: Full(desk.reader), "queue"),
        ("gallery", lambda desk: Broken(), "index"),
        ("store", lambda desk: Broken(), "database"),
        ("calibration", lambda desk: dataclasses.replace(desk.calibration, model_id="model-b"), "model"),
    ],
)
def test_is_not_ready_when_a_part_is_not(service, part, broken, check):
    key = service.admin
    service.app.state.desk = dataclasses.replace(service.desk, **{part: broken(service.desk)})
    answer = service.call("GET", "/health/ready", key=key)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["retry-after"]
    assert answer.json()["checks"][check] != "ok"
    assert "secret-thing" not in answer.text
    assert "checks" not in service.call("GET", "/health/ready", key=None).json()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/docs/problems", "/openapi.json"])
def test_head_of_what_anybody_may_see_is_get_without_the_body(service, path):
    head, whole = (service.call(method, path, key=None) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert f'"method": "HEAD", "route": "{path}"' in service.log.getvalue()


def test_head_of_anything_else_is_not_let_through(service):
    assert service.call("HEAD", "/persons").status_code == 405


def test_a_standby_that_does_not_help_is_told_and_keeps_nobody_out(make_service, settings, parts):
    states = {"db2:5432": "ok", "db3:5432": "at change 3 of 4"}
    about = dataclasses.replace(parts.about, replicas=lambda: states)
    service = make_service(settings, parts=dataclasses.replace(parts, about=about))
    answer = service.call("GET", "/health/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"]["replicas"] == "db3:5432: at change 3 of 4"
    metrics = service.call("GET", "/metrics").text
    assert 'onelook_replicas{state="ok"} 1.0' in metrics
    assert 'onelook_replicas{state="dropped"} 1.0' in metrics
    states["db3:5432"] = "ok"
    assert service.call("GET", "/health/ready").json()["checks"]["replicas"] == "ok"


def test_renders_that_nobody_makes_are_told_and_keep_the_doors_open(service, send, jobs, monkeypatch):
    monkeypatch.setattr("app.routes.health.LONGEST_WAIT_S", -1.0)

    def told():
        answer = service.call("GET", "/health/ready")
        assert answer.status_code == 200
        return answer.json()["checks"]["style"]

    assert told() == "ok"
    send()
    assert told() == "1 wait, and nobody renders: `onelook work`, or ONELOOK_STYLE_WORKERS"
    jobs.claim()
    assert told() == "ok"


def test_a_full_queue_of_renders_is_told(make_service, settings):
    service = make_service(settings.model_copy(update={"style_queue": 1}))
    files = [("content", ("a", CONTENT)), ("style", ("b", STYLE))]
    assert service.call("POST", "/style-jobs", files=files).status_code == 202
    assert service.call("GET", "/health/ready").json()["checks"]["style"] == "full"
