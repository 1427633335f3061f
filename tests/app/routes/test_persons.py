import pytest


@pytest.fixture
def ann(service, pictures):
    return service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann", external_id="e1").json()["person"]


def patch(service, if_match='"1"', person_id="ann", **fields):
    headers = {} if if_match is None else {"If-Match": if_match}
    return service.call("PATCH", f"/persons/{person_id}", json=fields, headers=headers)


def test_a_person_has_an_etag(service, ann):
    answer = service.call("GET", "/persons/ann")
    assert (answer.json(), answer.headers["etag"]) == (ann, '"1"')


def test_changes_what_is_sent_and_gives_the_next_etag(service, ann, clock):
    clock.move(minutes=1)
    answer = patch(service, name="Ann B", external_id=None, groups=["day"], active=False)
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    expected = {"name": "Ann B", "external_id": None, "groups": ["day"], "active": False}
    assert answer.json() == {**ann, **expected, "updated_at": "2030-01-01T12:01:00.000Z"}
    assert service.call("GET", "/persons/ann").json() == answer.json()


def test_a_change_takes_effect_at_the_next_look(service, ann, pictures):
    patch(service, face_opt_out=True)
    assert service.photo("/identify", pictures.of("ann")).json()["reason"] == "empty_gallery"


def test_a_change_without_if_match_is_refused(service, ann):
    answer = patch(service, if_match=None, name="x")
    assert (answer.status_code, answer.json()["code"]) == (428, "if_match_required")


@pytest.mark.parametrize("tag", ['"0"', '"2"', "1", 'W/"1"', '""', "garbage", '"1"x', '"' + "9" * 50 + '"'])
def test_a_change_of_another_state_is_refused(service, ann, tag):
    answer = patch(service, if_match=tag, name="x")
    assert (answer.status_code, answer.json()["code"]) == (412, "stale")
    assert service.call("GET", "/persons/ann").json() == ann


def test_a_star_fits_whatever_is_there(service, ann):
    assert patch(service, if_match="*", name="Ann B").status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", ""),
        ("active", "yes"),
        ("id", "x"),
        ("revision", 7),
        ("metadata", []),
        ("groups", "day"),
    ],
)
def test_a_field_that_cannot_be_changed_so_is_refused(service, ann, field, value):
    answer = patch(service, **{field: value})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_field", field)
    assert service.call("GET", "/persons/ann").json() == ann


def test_a_list_is_given_in_pages(service, enrolled):
    for who in ("cid", "ann", "bob"):
        enrolled(who)
    first = service.call("GET", "/persons?limit=2").json()
    assert [p["id"] for p in first["items"]] == ["ann", "bob"]
    second = service.call("GET", "/persons", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert ([p["id"] for p in second["items"]], second["next_cursor"]) == (["cid"], None)


def test_a_list_is_narrowed_by_name_and_external_id(service, enrolled):
    enrolled("ann", external_id="e1")
    enrolled("hannah")
    enrolled("bob")
    assert [p["id"] for p in service.call("GET", "/persons?name=ANN").json()["items"]] == ["ann", "hannah"]
    assert [p["id"] for p in service.call("GET", "/persons?external_id=e1&gallery=all").json()["items"]] == ["ann"]
    assert service.call("GET", "/persons?gallery=lab").json()["code"] == "unknown_gallery"


def test_erasing_gives_a_receipt_that_is_found_again(service, ann):
    answer = service.call("DELETE", "/persons/ann")
    receipt = answer.json()
    assert answer.status_code == 200
    (row,) = service.call("GET", "/audit?action=person.erased").json()["items"]
    assert receipt["proof"] == {"search_missed": True, "audit_seq": row["seq"]}
    assert (receipt["removed"]["templates"], receipt["removed"]["index_rows"]) == (1, 1)
    assert service.call("GET", f"/erasures/{receipt['id']}").json() == receipt
    assert service.call("GET", "/erasures/ann").json() == receipt


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_an_erased_person_leads_to_the_receipt(service, ann, method):
    service.call("DELETE", "/persons/ann")
    answer = service.call(method, "/persons/ann", json={"name": "x"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_person")
    assert answer.json()["erasure"] == "/erasures/ann"
    assert answer.headers["link"] == '</erasures/ann>; rel="related"'
    assert service.call("GET", answer.json()["erasure"]).status_code == 200


def test_templates_are_added_listed_and_removed(service, ann, pictures):
    added = service.photo("/persons/ann/templates", pictures.of("ann", 0.8))
    assert (added.status_code, added.json()["index_seq"]) == (201, 2)
    items = service.call("GET", "/persons/ann/templates").json()["items"]
    assert [item["id"] for item in items][-1] == added.json()["template"]["id"]
    page = service.call("GET", "/persons/ann/templates?limit=1").json()
    rest = service.call("GET", "/persons/ann/templates", params={"cursor": page["next_cursor"]}).json()
    assert page["items"] + rest["items"] == items
    gone = service.call("DELETE", f"/persons/ann/templates/{items[0]['id']}")
    assert gone.json() == {"person_id": "ann", "template_id": items[0]["id"], "index_seq": 3}
    assert service.call("DELETE", f"/persons/ann/templates/{items[0]['id']}").json()["code"] == "unknown_template"


def test_an_override_needs_admin(service, ann, pictures):
    image = pictures.of("bob")
    assert service.photo("/persons/ann/templates", image).json()["code"] == "not_same_person"
    refused = service.photo("/persons/ann/templates", image, override="true", key=service.key("enroll"))
    assert (refused.status_code, refused.json()["scope"]) == (403, "admin")
    assert service.photo("/persons/ann/templates", image, override="true").status_code == 201
