import re
from pathlib import Path

import pytest

from app.domain.key import SCOPES
from app.main import RESOURCES
from app.routes.access import ANY_KEY, METRICS, PUBLIC, TABLE

HTTP_MD = Path(__file__).parents[3] / "docs" / "http.md"
ROUTES = sorted(
    f"{method} {route.path}" for resource in RESOURCES for route in resource.router.routes for method in route.methods
)
GUARDED = [route for route in ROUTES if TABLE.get(route) != PUBLIC]


def a_request(route):
    method, path = route.split(" ")
    return method, re.sub(r"{\w+}", "some-id", path)


def needs(route):
    """The scopes that a key needs for that route, all of them."""
    return {ANY_KEY: "detect", METRICS: "admin"}.get(TABLE[route], TABLE[route]).split(" and ")


def test_every_route_stands_in_the_table_and_every_row_is_a_route():
    assert sorted(TABLE) == ROUTES


def test_the_service_serves_no_other_route(service):
    served = service.call("GET", "/openapi.json").json()["paths"]
    assert sorted(f"{m.upper()} {path}" for path, operations in served.items() for m in operations) == ROUTES


def test_the_document_holds_the_same_table():
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \| `?([^`|]+?)`? \|$", HTTP_MD.read_text(encoding="utf-8"), re.M)
    assert dict(rows) == TABLE
    assert len(rows) == len(TABLE)


def test_every_scope_in_the_table_exists():
    named = {scope for value in TABLE.values() for scope in value.split(" and ")}
    assert named <= {*SCOPES, PUBLIC, ANY_KEY, METRICS}


@pytest.mark.parametrize("route", GUARDED)
def test_refuses_without_a_key(service, route):
    answer = service.call(*a_request(route), key=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "no_key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("route", "needed"), [(r, one) for r in GUARDED if TABLE[r] != ANY_KEY for one in needs(r)])
def test_refuses_a_key_with_every_scope_but_the_one(service, route, needed):
    key = service.key(*(scope for scope in SCOPES if scope not in (needed, "admin")))
    answer = service.call(*a_request(route), key=key)
    assert (answer.status_code, answer.json()["code"], answer.json()["scope"]) == (403, "scope", needed)


@pytest.mark.parametrize("route", GUARDED)
def test_lets_the_scope_through(service, route):
    assert service.call(*a_request(route), key=service.key(*needs(route))).status_code not in (401, 403)


@pytest.mark.parametrize("route", [route for route in ROUTES if TABLE[route] == PUBLIC])
def test_public_routes_need_no_key(service, route):
    assert service.call(*a_request(route), key=None).status_code == 200


def test_takes_the_key_from_either_header(service):
    key = service.key("detect")
    assert service.call("GET", "/info", key=None, headers={"X-API-Key": key}).status_code == 200
    assert service.call("GET", "/info", key=None, headers={"Authorization": f"bearer  {key}"}).status_code == 200


def test_a_revoked_key_is_refused_at_the_next_request(service):
    key = service.key("detect")
    key_id = key.split("_")[1]
    assert service.call("GET", "/info", key=key).status_code == 200
    assert service.call("DELETE", f"/keys/{key_id}").json()["revoked_at"] is not None
    answer = service.call("GET", "/info", key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_key")


def test_an_expired_key_is_told_so(service, clock):
    key = service.key("detect", expires_at=clock.now().replace(hour=13))
    clock.move(hours=2)
    answer = service.call("GET", "/info", key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "expired_key")


@pytest.mark.parametrize("accept", ["text/html", "image/png, text/*", "application/json;q=0"])
def test_refuses_to_answer_in_another_form(service, accept):
    answer = service.call("GET", "/info", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("accept", ["*/*", "text/html, */*;q=0.1", "application/json", "application/problem+json", ""])
def test_answers_whoever_takes_json(service, accept):
    assert service.call("GET", "/info", headers={"Accept": accept}).status_code == 200
