import pytest


@pytest.fixture
def lab(service):
    return service.call("POST", "/galleries", json={"name": "The lab", "id": "lab"})


def test_a_gallery_is_made_found_and_listed(service, lab):
    assert (lab.status_code, lab.headers["location"]) == (201, "/galleries/lab")
    body = lab.json()
    assert (body["id"], body["name"], body["persons"], body["templates"]) == ("lab", "The lab", 0, 0)
    assert (body["threshold"], body["operating_point"]["gallery_size"]) == (0.6, 10)
    assert service.call("GET", "/galleries/lab").json() == body
    everybody, listed = service.call("GET", "/galleries").json()["items"]
    assert (everybody["id"], everybody["created_at"], listed) == ("all", None, body)
    given = service.call("POST", "/galleries", json={"name": "Shop"}).json()["id"]
    assert service.call("GET", f"/galleries/{given}").status_code == 200


def test_a_list_is_given_in_pages(service):
    for id_ in ("a", "b", "z"):
        service.call("POST", "/galleries", json={"name": id_, "id": id_})
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.call("GET", "/galleries", params=query).json()
        found += [one["id"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == ["all", "a", "b", "z"]


def test_members_are_put_in_and_taken_out(service, lab, enrolled, pictures):
    enrolled("ann")
    path = "/galleries/lab/members/ann"
    joined = service.call("PUT", path)
    assert (joined.status_code, joined.json()["member"]) == (200, True)
    assert service.call("PUT", path).json() == joined.json()
    assert service.call("GET", "/persons/ann").json()["galleries"] == ["all", "lab"]
    assert [one["id"] for one in service.call("GET", "/persons?gallery=lab").json()["items"]] == ["ann"]
    answer = service.photo("/identify", pictures.of("ann"), gallery="lab").json()
    assert (answer["person"]["id"], answer["gallery"]) == ("ann", {"id": "lab", "persons": 1, "templates": 1})
    left = service.call("DELETE", path).json()
    assert (left["member"], left["index_seq"] > joined.json()["index_seq"]) == (False, True)
    assert service.photo("/identify", pictures.of("ann"), gallery="lab").json()["reason"] == "empty_gallery"


def test_an_enrolment_names_the_galleries_to_be_in(service, lab, pictures):
    service.call("POST", "/galleries", json={"name": "Shop", "id": "shop"})
    fields = {"name": "Ann", "person_id": "ann", "galleries": ["shop", "lab", "all"]}
    answer = service.photo("/enroll", pictures.of("ann"), **fields)
    assert answer.json()["person"]["galleries"] == ["all", "lab", "shop"]
    assert service.photo("/identify", pictures.of("ann"), gallery="shop").json()["person"]["id"] == "ann"
    refused = service.photo("/enroll", pictures.of("bob"), name="Bob", galleries="yard")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_gallery")
    assert [one["id"] for one in service.call("GET", "/persons").json()["items"]] == ["ann"]


def test_a_removed_gallery_is_gone_and_its_persons_are_not(service, lab, enrolled):
    enrolled("ann", galleries=("lab",))
    assert service.call("DELETE", "/galleries/lab").json() == {"id": "lab", "members": 1}
    for method, path in (("GET", ""), ("DELETE", ""), ("PUT", "/members/ann")):
        assert service.call(method, f"/galleries/lab{path}").json()["code"] == "unknown_gallery"
    assert service.call("GET", "/persons/ann").json()["galleries"] == ["all"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "id": "all"}, "id"),
        ({"name": "x", "id": "a/b"}, "id"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)
def test_refuses_a_gallery_that_cannot_be(service, body, field):
    answer = service.call("POST", "/galleries", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_refuses_an_id_that_is_taken(service, lab):
    answer = service.call("POST", "/galleries", json={"name": "Another", "id": "lab"})
    assert (answer.status_code, answer.json()["code"]) == (409, "gallery_exists")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/galleries/all", 422),
        ("PUT", "/galleries/all/members/ann", 422),
        ("PUT", "/galleries/shop/members/ann", 404),
        ("PUT", "/galleries/lab/members/nobody", 404),
        ("DELETE", "/galleries/lab/members/nobody", 404),
        ("GET", "/galleries/shop", 404),
        ("GET", "/galleries/..", 404),
    ],
)
def test_refuses_what_is_not_there_and_to_touch_everybody(service, lab, enrolled, method, path, status):
    enrolled("ann")
    assert service.call(method, path).status_code == status


def test_everybody_is_a_gallery_too(service, enrolled):
    enrolled("ann")
    body = service.call("GET", "/galleries/all").json()
    assert (body["id"], body["name"], body["persons"]) == ("all", "Everybody", 1)
