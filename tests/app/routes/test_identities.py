import pytest


@pytest.fixture
def two(service, enrolled):
    service.call("POST", "/galleries", json={"name": "Lab", "id": "lab"})
    enrolled("ann", galleries=("lab",))
    enrolled("bob")


def templates(service, who):
    return [one["id"] for one in service.call("GET", f"/persons/{who}/templates").json()["items"]]


def whose(service, image):
    return service.photo("/identify", image).json()["person"]["id"]


def test_a_merge_gives_everything_to_the_other_and_is_undone(service, two, pictures):
    (of_ann,) = templates(service, "ann")
    answer = service.call("POST", "/persons/ann/merge", json={"into": "bob"})
    done = answer.json()
    assert answer.status_code == 200
    change = done["change"]
    assert {k: change[k] for k in ("kind", "person_id", "other_id", "templates", "undone_at")} == {
        "kind": "merge",
        "person_id": "ann",
        "other_id": "bob",
        "templates": [of_ann],
        "undone_at": None,
    }
    assert [(one["id"], one["galleries"]) for one in done["persons"]] == [("bob", ["all", "lab"])]
    assert whose(service, pictures.of("ann")) == "bob"
    assert done["index_seq"] == service.call("GET", "/info").json()["index_seq"]

    undone = service.call("POST", f"/persons/changes/{change['id']}/undo")
    assert (undone.status_code, undone.json()["change"]["undone_at"]) == (200, "2030-01-01T12:00:00.000Z")
    assert [(one["id"], one["galleries"]) for one in undone.json()["persons"]] == [
        ("bob", ["all"]),
        ("ann", ["all", "lab"]),
    ]
    assert whose(service, pictures.of("ann")) == "ann"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("GET", "/templates"), ("GET", "/export"), ("POST", "/merge")]
)
def test_a_merged_id_leads_to_the_other(service, two, method, path):
    service.call("POST", "/persons/ann/merge", json={"into": "bob"})
    answer = service.call(method, f"/persons/ann{path}", **({"json": {"into": "bob"}} if method == "POST" else {}))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_person")
    assert answer.json()["merged_into"] == "bob"
    assert answer.headers["link"] == '</persons/bob>; rel="related"'


def test_a_merged_id_is_not_given_to_anybody(service, two, pictures):
    service.call("POST", "/persons/ann/merge", json={"into": "bob"})
    answer = service.photo("/enroll", pictures.of("new"), name="New", person_id="ann")
    assert (answer.status_code, answer.json()["code"]) == (409, "person_exists")


def test_a_split_makes_a_new_person(service, two, pictures):
    service.photo("/persons/ann/templates", pictures.of("eve"), override="true")
    kept, moved = templates(service, "ann")
    answer = service.call("POST", "/persons/ann/split", json={"templates": [moved], "name": "Eve"})
    old, new = answer.json()["persons"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"/persons/{new['id']}")
    assert (old["id"], new["name"], new["galleries"]) == ("ann", "Eve", ["all", "lab"])
    assert (templates(service, "ann"), templates(service, new["id"])) == ([kept], [moved])
    assert whose(service, pictures.of("eve")) == new["id"]
    service.call("POST", f"/persons/changes/{answer.json()['change']['id']}/undo")
    assert service.call("GET", f"/persons/{new['id']}").json()["merged_into"] == "ann"


def test_what_is_in_the_way_of_undoing_is_named(service, two):
    change = service.call("POST", "/persons/ann/merge", json={"into": "bob"}).json()["change"]
    service.call("DELETE", f"/persons/bob/templates/{change['templates'][0]}")
    answer = service.call("POST", f"/persons/changes/{change['id']}/undo")
    assert (answer.status_code, answer.json()["code"]) == (409, "cannot_undo")
    assert answer.json()["in_the_way"] == [
        {"kind": "template", "id": change["templates"][0], "why": "it was removed since"}
    ]


def test_nothing_is_undone_twice_and_nothing_that_is_not_there(service, two):
    path = f"/persons/changes/{service.call('POST', '/persons/ann/merge', json={'into': 'bob'}).json()['change']['id']}"
    assert service.call("POST", f"{path}/undo").status_code == 200
    again = service.call("POST", f"{path}/undo")
    assert (again.status_code, again.json()["in_the_way"][0]["kind"]) == (409, "change")
    answer = service.call("POST", "/persons/changes/none/undo")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("merge", {}, 422, "into"),
        ("merge", {"into": "ann"}, 422, "into"),
        ("merge", {"into": 7}, 422, "into"),
        ("merge", {"into": "bob", "x": 1}, 422, "x"),
        ("merge", {"into": "nobody"}, 404, None),
        ("split", {}, 422, "templates"),
        ("split", {"templates": []}, 422, "templates"),
        ("split", {"templates": ["tpl_none"]}, 404, None),
        ("split", {"templates": "tpl"}, 422, "templates"),
        ("split", {"templates": ["x"], "name": "\n"}, 422, "name"),
    ],
)
def test_refuses_what_cannot_be(service, two, path, body, status, field):
    answer = service.call("POST", f"/persons/ann/{path}", json=body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert len(templates(service, "ann")) == 1


def test_duplicates_are_listed_with_what_they_are_judged_by(service, enrolled, pictures):
    enrolled("ann")
    enrolled("bob", image=pictures.of("bob", 0.6, like="ann"))
    body = service.call("GET", "/duplicates").json()
    (one,) = body.pop("items")
    assert one == {
        "kind": "two_persons",
        "similarity": 0.8,
        "distance": 0.4,
        "persons": [
            {"id": "ann", "name": "Ann", "external_id": None},
            {"id": "bob", "name": "Bob", "external_id": None},
        ],
        "templates": [templates(service, who)[0] for who in ("ann", "bob")],
    }
    assert (body["threshold"], body["operating_point"]["target"]) == (0.5, {"kind": "fmr", "value": 0.001})
    assert (body["templates"], body["index_seq"], body["complete"], body["next_cursor"]) == (2, 2, True, None)


def test_duplicates_come_in_pages(service, enrolled, pictures):
    for n, who in enumerate("abcde"):
        enrolled(who, image=pictures.of(who, 0.1 + n / 50, like="z"))
    whole = service.call("GET", "/duplicates?limit=500").json()["items"]
    assert len(whole) == 10
    paged, cursor = [], None
    while len(paged) < 10:
        page = service.call("GET", "/duplicates", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        paged += page["items"]
        cursor = page["next_cursor"]
    assert (paged, cursor) == (whole, None)


@pytest.mark.parametrize("cursor", ["x", "!", "e30=", "WzEsMiwzLDRd", "W10=", "WzAsTmFOLCJhIl0=", "bnVsbA=="])
def test_a_cursor_that_was_not_given_out_is_refused(service, cursor):
    answer = service.call("GET", "/duplicates", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


def test_duplicates_of_a_target_and_a_gallery_that_cannot_be_are_refused(service):
    for query, code in (
        ("target_fmr=0.000001", "unsupported_target"),
        ("target_fmr=0", "invalid_field"),
        ("gallery=nowhere", "unknown_gallery"),
        ("threshold=0.5", "invalid_field"),
    ):
        assert service.call("GET", f"/duplicates?{query}").json()["code"] == code
    assert service.call("GET", "/duplicates?target_fmr=0.000001&accept_extrapolated=true").json()["threshold"] == 0.9
