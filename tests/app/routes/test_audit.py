import asyncio
import threading
import time

import pytest

from app.domain.audit import AuditFilter


@pytest.fixture
def listed(service):
    """What GET /audit answers, once the queue is written."""

    def get(key="", **query):
        wait_until(lambda: not service.desk.trail.waiting)
        answer = service.call("GET", "/audit", key=key, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    return get


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def key_id(key):
    return key.split("_")[1]


def test_says_how_the_service_was_told_to_serve(listed, settings):
    (row,) = listed(action="service.started")
    assert (row["actor"], row["facts"]["settings"], row["facts"]["model_id"]) == (
        "service",
        settings.digest(),
        "model-a",
    )
    assert row["facts"]["version"]
    assert row["facts"]["precision"] == "float32"


def test_whoever_calls_is_the_actor_of_what_the_call_does(service, listed, pictures):
    key = service.key("enroll", "identify", "persons:write", "persons:erase", "verify")
    ann = service.photo("/enroll", pictures.of("ann"), key=key, name="Ann", person_id="ann").json()
    second = service.photo("/persons/ann/templates", pictures.of("ann", 0.9), key=key).json()["template"]["id"]
    service.call("PATCH", "/persons/ann", key=key, json={"groups": ["x"]}, headers={"If-Match": "*"})
    service.photo("/identify", pictures.of("ann"), key=key)
    service.photo("/identify", pictures.of("eve"), key=key)
    service.photo("/verify", pictures.of("ann", 0.8), key=key, person_id="ann")
    service.call("DELETE", f"/persons/ann/templates/{second}", key=key)
    rows = listed(actor=key_id(key))
    assert {row["actor"] for row in rows} == {key_id(key)}
    told = {(row["action"], row["outcome"], row["person_id"], row["template_id"]) for row in rows}
    first = ann["template"]["id"]
    assert told == {
        ("person.enrolled", "ok", "ann", first),
        ("template.added", "ok", "ann", second),
        ("person.changed", "ok", "ann", None),
        ("face.identified", "recognized", "ann", first),
        ("face.identified", "not_recognized", None, None),
        ("face.verified", "match", "ann", first),
        ("template.removed", "ok", "ann", second),
    }
    assert next(row["facts"] for row in rows if row["action"] == "person.changed") == {"fields": ["groups"]}


def test_a_decision_says_what_it_stands_on(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    answer = service.photo("/identify", pictures.of("ann", 0.9)).json()
    (row,) = listed(action="face.identified")
    assert row["similarity"] == pytest.approx(answer["similarity"])
    assert row["gallery"] == "all"
    point = answer["operating_point"]
    assert row["facts"] == {"threshold": answer["threshold"], "target": point["target"], "support": point["support"]}


def test_below_the_threshold_a_closeness_is_shown_only_to_a_key_with_candidates(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    service.photo("/identify", pictures.of("ann", 0.2))
    service.photo("/verify", pictures.of("ann", 0.2), person_id="ann")
    for action in ("face.identified", "face.verified"):
        (row,) = listed(key=service.key("audit"), action=action)
        assert (row["similarity"], "similarity" in row["facts"]) == (None, False)
        assert row["facts"]["reason"] == "below_threshold"
        (row,) = listed(key=service.key("audit", "candidates"), action=action)
        assert row["similarity"] == pytest.approx(0.2, abs=1e-4)


def test_whoever_is_named_to_somebody_who_only_looks_for_duplicates_is_a_row(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    service.photo("/enroll", pictures.of("ann", 0.9), name="Eve")
    service.photo("/enroll", pictures.of("ann", 0.9), name="Eve", dry_run="true", on_duplicate="allow")
    service.photo("/persons/ann/templates", pictures.of("bob"))
    rows = listed(action="face.looked_for")
    assert [(row["outcome"], row["person_id"]) for row in rows] == [("dry_run", "ann"), ("duplicate", "ann")]
    assert {round(row["similarity"], 3) for row in rows} == {0.9}
    (row,) = listed(action="face.verified")
    assert (row["outcome"], row["person_id"]) == ("no_match", "ann")


def test_every_face_of_a_picture_is_a_row(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    image = pictures.show(pictures.face("ann"), pictures.face("eve"))
    service.photo("/identify", image, faces="all")
    outcomes = [row["outcome"] for row in listed(action="face.identified")]
    assert sorted(outcomes) == ["not_recognized", "recognized"]


def test_keys_are_in_it_without_their_secrets(service, listed):
    made = service.call("POST", "/keys", json={"name": "door", "scopes": ["verify"]}).json()
    service.call("DELETE", f"/keys/{made['id']}")
    revoked, first = listed(action="key.revoked"), listed(action="key.made")
    assert revoked[0]["facts"] == first[0]["facts"] == {"key": made["id"], "scopes": ["verify"], "galleries": None}
    assert revoked[0]["actor"] == key_id(service.admin)
    assert made["key"].rsplit("_", 1)[1] not in str(listed())


def test_galleries_and_their_members_are_in_it(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    service.call("POST", "/galleries", json={"id": "staff", "name": "Staff"})
    for method in ("PUT", "PUT", "DELETE", "DELETE"):
        service.call(method, "/galleries/staff/members/ann")
    service.call("DELETE", "/galleries/staff")
    told = [(row["action"], row["person_id"]) for row in reversed(listed()) if row["gallery"] == "staff"]
    assert told == [
        ("gallery.made", None),
        ("member.joined", "ann"),
        ("member.left", "ann"),
        ("gallery.removed", None),
    ]


def test_after_an_erasure_nothing_names_the_person_and_the_trail_still_verifies(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann Unforgettable", person_id="ann")
    service.photo("/identify", pictures.of("ann"))
    assert len(listed(person_id="ann")) == 2
    receipt = service.call("DELETE", "/persons/ann").json()
    assert listed(person_id="ann") == []
    rows = listed()
    erased = next(row for row in rows if row["action"] == "person.erased")
    assert erased["seq"] == receipt["proof"]["audit_seq"]
    assert erased["facts"]["erasure"] == receipt["id"]
    assert service.call("GET", "/erasures/ann").json()["proof"] == receipt["proof"]
    gone = [row for row in rows if row["action"] in ("person.enrolled", "face.identified")]
    assert [(row["person_id"], row["similarity"], row["shredded"]) for row in gone] == 2 * [(None, None, True)]
    assert '"ann"' not in str(rows).replace("'", '"')
    assert "Unforgettable" not in str(rows)
    assert service.call("GET", "/audit/verify").json()["ok"] is True
    with service.desk.store.read() as uow:
        lines = {line.seq: line for line in uow.audit.lines(0, 100)}
    # The receipt leads from the id to this row: from here nothing leads to the others.
    assert lines[erased["seq"]].subject is None


def test_a_lock_out_is_in_it_without_an_address(service, listed):
    # A key that was good from an address before opens all the same.
    assert service.call("GET", "/info").status_code == 200
    for _ in range(11):
        service.call("GET", "/info", key="olk_nobody_x")
    (row,) = listed(action="key.refused")
    assert (row["outcome"], row["actor"], list(row["facts"])) == ("locked_out", "service", ["seconds"])


def test_a_bound_key_sees_the_rows_of_its_galleries(service, listed, pictures):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    for gallery in ("staff", "guests"):
        service.call("POST", "/galleries", json={"id": gallery, "name": gallery})
    bound = service.key("audit", galleries=["staff"])
    assert [(row["action"], row["gallery"]) for row in listed(key=bound)] == [("gallery.made", "staff")]


def test_pages_newest_first_and_filters(service, listed, clock):
    for _ in range(4):
        service.key("detect")
    everything = listed(limit=500)
    first = service.call("GET", "/audit", params={"limit": 2}).json()
    second = service.call("GET", "/audit", params={"limit": 500, "cursor": first["next_cursor"]}).json()
    assert first["items"] + second["items"] == everything
    assert [row["seq"] for row in everything] == list(range(len(everything), 0, -1))
    assert second["next_cursor"] is None
    now = clock.now().isoformat()
    assert listed(**{"from": now, "limit": 500}) == everything
    assert listed(to=now) == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/audit?cursor=YWJj", "cursor"),
        ("/audit?from=yesterday", "from"),
        ("/audit?from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z", "to"),
        ("/audit?colour=red", "colour"),
        ("/audit/verify?head=1.2.3", "head"),
        ("/audit/head?x=1", "x"),
    ],
)
def test_refuses_what_it_does_not_understand(service, path, field):
    answer = service.call("GET", path)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_field", field)


def test_an_id_that_is_none_names_nobody(service, listed):
    assert listed(person_id="no id") == []


def test_a_head_that_was_kept_shows_a_cut_tail(service, store, listed):
    service.key("detect")
    assert listed(action="service.started")
    head = service.call("GET", "/audit/head").json()
    verdict = service.call("GET", "/audit/verify", params={"head": head["token"]}).json()
    assert (verdict["ok"], verdict["head_met"], verdict["head"]) == (True, True, head)
    assert verdict["rows"] == verdict["to_seq"] == head["seq"]
    store.committed.audit.pop()
    assert service.call("GET", "/audit/verify").json()["ok"] is True
    verdict = service.call("GET", "/audit/verify", params={"head": head["token"]}).json()
    assert (verdict["ok"], verdict["faults_found"]) == (False, 1)
    assert [(fault["seq"], fault["fault"]) for fault in verdict["faults"]] == [(head["seq"], "cut")]
    assert service.call("GET", "/audit/verify").json()["head_met"] is None


def test_anybody_can_check_a_head_with_the_public_key(service):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    head = service.call("GET", "/audit/head").json()
    parts = (b"onelook audit head v1", head["seq"].to_bytes(8, "big"), bytes.fromhex(head["mac"]))
    told = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head["public_key"]))
    key.verify(bytes.fromhex(head["signature"]), told)


def test_one_check_at_a_time(service):
    key, go = service.admin, threading.Event()

    async def occupy():
        check = asyncio.create_task(service.desk.checks.run(go.wait, 5))
        await asyncio.sleep(0)
        return check

    async def finish(check):
        return await check

    check = service.run(occupy())
    answer = service.call("GET", "/audit/verify", key=key)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
    assert service.call("GET", "/audit", key=key).status_code == 200
    go.set()
    assert service.run(finish(check))
    assert service.call("GET", "/audit/verify", key=key).status_code == 200


def test_a_stop_writes_what_waits(make_service, store, pictures, enrolled):
    enrolled("ann")
    service = make_service()
    service.photo("/identify", pictures.of("ann"))
    service.begin_stop().result(20)
    with store.read() as uow:
        assert uow.audit.page(AuditFilter(action="face.identified"), before=None, limit=5)
        assert uow.sightings.last("ann") is not None
