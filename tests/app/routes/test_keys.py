def test_a_key_is_shown_once_and_works(service):
    made = service.call("POST", "/keys", json={"name": "door", "scopes": ["verify", "identify"]})
    assert made.status_code == 201
    body = made.json()
    assert (body["scopes"], body["expires_at"], body["revoked_at"]) == (["verify", "identify"], None, None)
    assert service.call("GET", "/info", key=body["key"]).status_code == 200
    listed = service.call("GET", "/keys").text
    assert body["id"] in listed
    assert body["key"].rsplit("_", 1)[1] not in listed + service.log.getvalue()


def test_keys_are_listed_in_pages(service):
    for i in range(3):
        service.key("detect", before_commit=lambda text: None) if i else service.admin
    first = service.call("GET", "/keys?limit=2").json()
    second = service.call("GET", "/keys", params={"limit": 500, "cursor": first["next_cursor"]}).json()
    ids = [key["id"] for key in first["items"] + second["items"]]
    assert len(ids) == len(set(ids)) == 4
    assert second["next_cursor"] is None


def test_the_last_admin_key_stays(service):
    items = service.call("GET", "/keys").json()["items"]
    first, own = (key["id"] for key in items)
    assert service.call("DELETE", f"/keys/{first}").status_code == 200
    answer = service.call("DELETE", f"/keys/{own}")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin_key")
    assert service.call("GET", "/keys").status_code == 200


def test_an_expiry_is_kept(service):
    body = {"name": "guest", "scopes": ["verify"], "expires_at": "2030-01-02T00:00:00Z"}
    assert service.call("POST", "/keys", json=body).json()["expires_at"] == "2030-01-02T00:00:00.000Z"


def test_a_key_is_shown_with_what_it_is_bound_to_and_its_limits(service):
    assert service.call("POST", "/galleries", json={"id": "lab", "name": "The lab"}).status_code == 201
    body = {"name": "door", "scopes": ["identify"], "galleries": ["lab"], "rate_per_minute": 90, "concurrency": 2}
    made = service.call("POST", "/keys", json=body).json()
    told = {name: made[name] for name in ("galleries", "rate_per_minute", "concurrency")}
    assert told == {"galleries": ["lab"], "rate_per_minute": 90, "concurrency": 2}
    listed = {key["id"]: key for key in service.call("GET", "/keys").json()["items"]}
    assert listed[made["id"]] == {name: value for name, value in made.items() if name != "key"}
    other = next(key for id_, key in listed.items() if id_ != made["id"])
    assert (other["galleries"], other["rate_per_minute"], other["concurrency"]) == (None, None, None)
    assert service.call("DELETE", f"/keys/{made['id']}").json()["galleries"] == ["lab"]


def test_a_key_for_a_gallery_that_is_not_there_is_refused(service):
    body = {"name": "door", "scopes": ["identify"], "galleries": ["attic"]}
    answer = service.call("POST", "/keys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_gallery")


def test_a_limit_that_is_no_number_is_refused(service):
    for field in ("rate_per_minute", "concurrency"):
        for value in (0, -1, 1.5, "5", True, 10**12):
            answer = service.call("POST", "/keys", json={"name": "door", "scopes": ["identify"], field: value})
            assert (answer.status_code, answer.json()["field"]) == (422, field)
