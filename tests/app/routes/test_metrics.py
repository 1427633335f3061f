import pytest
from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

from app.routes.facts import Facts
from app.routes.metrics import Metrics, count_in


def test_needs_admin_or_an_allowed_address(make_service, settings):
    service = make_service(settings.model_copy(update={"metrics_allow": ("127.0.0.1",)}))
    answer = service.call("GET", "/metrics", key=None)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")


def test_another_address_needs_a_key(make_service, settings):
    service = make_service(settings.model_copy(update={"metrics_allow": ("10.0.0.1",)}))
    assert service.call("GET", "/metrics", key=None).status_code == 401
    assert service.call("GET", "/metrics", key=service.key("identify")).status_code == 403


def test_two_services_in_one_process_count_apart(make_service, settings):
    one, other = make_service(), make_service()
    one.call("GET", "/info")
    assert 'route="/info"' in one.call("GET", "/metrics").text
    assert 'route="/info"' not in other.call("GET", "/metrics").text


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 200), ("10.0.0.0/8", 401)])
def test_a_network_may_be_allowed(make_service, settings, network, status):
    service = make_service(settings.model_copy(update={"metrics_allow": (network,)}))
    assert service.call("GET", "/metrics", key=None).status_code == status


@pytest.fixture
def process(tmp_path, monkeypatch):
    """The metrics of the process of that number, as if this were it."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)

    def begin(number):
        count_in(tmp_path, number)
        return Metrics(tmp_path)

    return begin


def ask(metrics, times, **facts):
    for _ in range(times):
        metrics.count("GET", "/info", 200, 0.02, Facts("id", **facts))


def test_processes_count_together_whichever_is_asked(process):
    one, other = process(1), process(2)
    ask(one, 3)
    ask(other, 4, locks_out=True)
    one.note_waiting(2)
    other.note_waiting(5)
    for metrics in (one, other):
        told = metrics.text(None).decode()
        assert 'onelook_requests_total{method="GET",route="/info",status="200"} 7.0' in told
        assert 'onelook_request_seconds_bucket{le="0.02",route="/info"} 7.0' in told
        assert 'onelook_request_seconds_count{route="/info"} 7.0' in told
        assert "onelook_lock_outs_total 4.0" in told
        assert "onelook_inference_waiting 7.0" in told
        assert "onelook_workers 2.0" in told
        assert "# HELP onelook_requests_total requests" in told


def test_counts_outlive_a_process_and_what_it_held_does_not(process, tmp_path):
    one, dead = process(1), process(2)
    ask(dead, 4)
    dead.note_waiting(5)
    mark_process_dead(2, str(tmp_path))
    told = one.text(None).decode()
    assert 'onelook_requests_total{method="GET",route="/info",status="200"} 4.0' in told
    assert "onelook_inference_waiting 0.0" in told
    assert "onelook_workers 1.0" in told
    ask(process(2), 1)
    assert 'onelook_requests_total{method="GET",route="/info",status="200"} 5.0' in one.text(None).decode()


def test_tells_how_many_audit_rows_wait_and_were_lost(service):
    service.desk.trail.lost = 3
    for _ in range(2):
        told = service.call("GET", "/metrics").text
        assert "onelook_audit_lost_total 3.0" in told
        assert "onelook_audit_waiting " in told


def test_renders_are_counted_by_status(service, send, jobs):
    for _ in range(3):
        send()
    jobs.claim()
    told = service.call("GET", "/metrics").text
    assert 'onelook_style_jobs{status="queued"} 2.0' in told
    assert 'onelook_style_jobs{status="running"} 1.0' in told
    assert "onelook_style_oldest_queued_seconds" in told
