import pytest


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
