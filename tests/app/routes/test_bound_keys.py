"""A key that is bound to galleries sees and touches nothing else: every route that could tell it more is tried."""

import json
import re

import pytest

from app.routes.access import TABLE

SCOPES = (
    *("detect", "enroll", "verify", "identify", "candidates"),
    *("persons:read", "persons:write", "persons:erase", "audit", "calibrate"),
)


@pytest.fixture
def key(service, enrolled, pictures):
    """Bound to lab, where ann is, who is in shop too; bob is in shop alone, cid in no gallery."""
    for id_ in ("lab", "shop"):
        service.call("POST", "/galleries", json={"name": id_, "id": id_})
    enrolled("ann", galleries=("lab", "shop"))
    enrolled("bob", galleries=("shop",), external_id="e-bob")
    enrolled("cid")
    return service.key(*SCOPES, galleries=["lab"])


@pytest.fixture
def call(service, key):
    return lambda method, path, **more: service.call(method, path, key=key, **more)


@pytest.fixture
def photo(service, key):
    return lambda path, image, **fields: service.photo(path, image, key=key, **fields)


def test_a_list_shows_only_its_own_persons_and_galleries(call):
    listed = call("GET", "/persons").json()["items"]
    assert [(one["id"], one["galleries"]) for one in listed] == [("ann", ["lab"])]
    assert call("GET", "/persons?name=b").json()["items"] == []
    assert call("GET", "/persons?external_id=e-bob").json()["items"] == []
    assert [one["id"] for one in call("GET", "/galleries").json()["items"]] == ["lab"]
    assert [one["id"] for one in call("GET", "/info").json()["galleries"]] == ["lab"]
    for gallery in ("shop", "all"):
        assert call("GET", f"/persons?gallery={gallery}").json()["code"] == "unknown_gallery"
        assert call("GET", f"/galleries/{gallery}").json()["code"] == "unknown_gallery"


@pytest.mark.parametrize("who", ["bob", "cid", "nobody"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/templates"),
        ("POST", "/templates"),
        ("DELETE", "/templates/{template}"),
        ("GET", "/export"),
        ("POST", "/merge"),
        ("POST", "/split"),
    ],
)
def test_somebody_else_is_not_there(service, call, photo, pictures, store, who, method, path):
    """The answer is the same for who is in another gallery, who is in none, and who is not there at all."""
    with store.read() as uow:
        template = next((t.id for t in uow.templates.of(who)), "tpl_none")
    before = store.committed.persons, store.committed.templates
    path = f"/persons/{who}{path.format(template=template)}"
    if path.endswith("/templates") and method == "POST":
        answer = photo(path, pictures.of(who))
    elif method in ("PATCH", "POST"):
        body = {"into": "ann"} if "merge" in path else {"templates": [template]} if "split" in path else {"name": "x"}
        answer = call(method, path, json=body, headers={"If-Match": "*"})
    else:
        answer = call(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_person")
    assert answer.json().keys() == {"type", "title", "status", "code", "detail", "request_id"}
    assert (store.committed.persons, store.committed.templates) == before


def test_nobody_is_recognized_or_verified_who_is_not_in_its_galleries(photo, pictures):
    assert photo("/identify", pictures.of("ann"), gallery="lab").json()["person"]["id"] == "ann"
    answer = photo("/identify", pictures.of("bob", 0.9, like="ann"), gallery="lab", top_k=20).json()
    assert (answer["decision"], answer["person"]) == ("not_recognized", None)
    assert [one["person"]["id"] for one in answer["candidates"]] == ["ann"]
    assert answer["gallery"] == {"id": "lab", "persons": 1, "templates": 1}
    for fields in ({}, {"gallery": "all"}, {"gallery": "shop"}):
        assert photo("/identify", pictures.of("ann"), **fields).json()["code"] == "unknown_gallery"
    assert photo("/verify", pictures.of("bob"), person_id="bob").json()["code"] == "unknown_person"
    assert photo("/verify", pictures.of("ann"), person_id="ann").json()["decision"] == "match"


def test_an_enrolment_is_into_its_own_galleries(photo, service, pictures):
    for galleries, code in ((None, "invalid_field"), ("shop", "unknown_gallery"), ("all", "unknown_gallery")):
        fields = {} if galleries is None else {"galleries": galleries}
        assert photo("/enroll", pictures.of("dan"), name="Dan", **fields).json()["code"] == code
    answer = photo("/enroll", pictures.of("dan"), name="Dan", person_id="dan", galleries="lab")
    assert (answer.status_code, answer.json()["person"]["galleries"]) == (201, ["lab"])
    assert service.call("GET", "/persons/dan").json()["galleries"] == ["all", "lab"]


def test_a_duplicate_of_somebody_else_is_refused_without_a_word_of_who_it_is(photo, call, service, pictures):
    refused = photo("/enroll", pictures.of("bob"), name="Dan", galleries="lab")
    assert (refused.status_code, refused.json()["code"], refused.json()["duplicates"]) == (409, "duplicate_person", [])
    assert "bob" not in refused.text.lower()
    both = photo("/enroll", pictures.of("bob", 0.75, like="ann"), name="Dan", galleries="lab").json()
    assert [one["person_id"] for one in both["duplicates"]] == ["ann"]
    unable = service.key("enroll", galleries=["lab"])
    refused = service.photo("/enroll", pictures.of("ann"), key=unable, name="Dan", galleries="lab")
    assert (refused.status_code, "duplicates" in refused.json()) == (409, False)

    fields = {"name": "Dan", "person_id": "dan", "galleries": "lab", "on_duplicate": "allow"}
    allowed = photo("/enroll", pictures.of("bob"), **fields)
    assert (allowed.status_code, allowed.json()["duplicates"]) == (201, [])
    # It is recorded all the same: whoever may see both finds the pair.
    pairs = service.call("GET", "/duplicates").json()["items"]
    assert [[one["id"] for one in pair["persons"]] for pair in pairs] == [["bob", "dan"]]
    assert call("GET", "/duplicates").json()["items"] == []


def test_duplicates_are_those_within_its_galleries(call, enrolled, pictures):
    enrolled("dan", image=pictures.of("ann", 0.9), galleries=("lab",))
    enrolled("eve", image=pictures.of("ann", 0.95), galleries=("shop",))
    body = call("GET", "/duplicates").json()
    assert [[one["id"] for one in pair["persons"]] for pair in body["items"]] == [["ann", "dan"]]
    assert body["templates"] == 2
    assert call("GET", "/duplicates?gallery=shop").json()["code"] == "unknown_gallery"
    assert call("GET", "/duplicates?gallery=all").json()["items"] == body["items"]


def test_memberships_and_galleries_of_others_are_not_touched(call, store):
    before = store.committed
    for method, path, code in (
        ("PUT", "/galleries/shop/members/ann", "unknown_gallery"),
        ("DELETE", "/galleries/shop/members/ann", "unknown_gallery"),
        ("PUT", "/galleries/lab/members/bob", "unknown_person"),
        ("PUT", "/galleries/lab/members/cid", "unknown_person"),
        ("DELETE", "/galleries/shop", "unknown_gallery"),
    ):
        assert call(method, path).json()["code"] == code
    for body in ({"name": "Mine"}, {"name": "Yard", "id": "yard"}):
        answer = call("POST", "/galleries", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope")
    assert store.committed.members == before.members
    assert store.committed.galleries == before.galleries


def test_who_is_in_other_galleries_too_is_not_merged_split_or_exported(call, enrolled, pictures, store):
    enrolled("mal", galleries=("lab",))
    for method, path, body in (
        ("POST", "/persons/mal/merge", {"into": "ann"}),
        ("POST", "/persons/ann/merge", {"into": "mal"}),
        ("POST", "/persons/ann/split", {"templates": ["x"]}),
        ("GET", "/persons/ann/export", None),
    ):
        answer = call(method, path, **({} if body is None else {"json": body}))
        assert (answer.status_code, answer.json()["code"]) == (403, "scope")
        assert "shop" not in answer.text
    assert store.committed.identities == {}


def test_its_own_persons_are_merged_and_put_back(call, service, enrolled):
    for who in ("dan", "eve"):
        enrolled(who, galleries=("lab",))
    done = call("POST", "/persons/dan/merge", json={"into": "eve"}).json()
    assert [one["galleries"] for one in done["persons"]] == [["lab"]]
    assert call("GET", "/persons/dan").json()["merged_into"] == "eve"
    other = service.key(*SCOPES, galleries=["shop"])
    assert "merged_into" not in service.call("GET", "/persons/dan", key=other).json()
    assert service.call("POST", f"/persons/changes/{done['change']['id']}/undo", key=other).status_code == 404
    assert call("POST", f"/persons/changes/{done['change']['id']}/undo").status_code == 200


def test_an_erasure_is_told_by_its_own_id_alone(call, service):
    receipt = call("DELETE", "/persons/ann").json()
    assert call("GET", f"/erasures/{receipt['id']}").json() == receipt
    assert call("GET", "/erasures/ann").json()["code"] == "not_found"
    service.call("DELETE", "/persons/bob")
    assert call("GET", "/erasures/bob").json()["code"] == "not_found"
    assert "erasure" not in call("GET", "/persons/bob").json()


def test_no_route_that_reads_tells_anything_of_others(call, service):
    """Whatever is added later is asked too: no answer to GET names bob, cid or shop."""
    service.photo("/verify", b"unreadable", person_id="bob")
    for route, scope in TABLE.items():
        method, path = route.split(" ")
        if method != "GET" or scope in ("public", "admin") or not path.startswith("/"):
            continue
        for value in ("ann", "lab", "bob", "shop"):
            answer = call(method, re.sub(r"{\w+}", value, path))
            told = json.dumps(answer.json()) if "json" in answer.headers.get("content-type", "") else answer.text
            assert not re.search(r"\b(bob|cid|e-bob|shop)\b", told.lower()), route


@pytest.mark.parametrize("galleries", [[], ["all"], ["lab", "nowhere"]])
def test_a_key_is_bound_to_galleries_that_there_are(service, key, galleries):
    body = {"name": "x", "scopes": ["identify"], "galleries": galleries}
    assert service.call("POST", "/keys", json=body).status_code in (404, 422)


def test_an_admin_key_is_not_bound(service, key):
    body = {"name": "x", "scopes": ["admin"], "galleries": ["lab"]}
    answer = service.call("POST", "/keys", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "galleries")
