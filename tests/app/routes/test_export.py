import pytest


@pytest.fixture
def ann(service, pictures):
    return service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann", consent="asked").json()["person"]


def test_tells_everything_and_lets_nobody_keep_it(service, ann, pictures):
    service.photo("/verify", pictures.of("ann"), person_id="ann")
    (template,) = service.call("GET", "/persons/ann/templates").json()["items"]
    service.desk.trail.close(5)
    answer = service.call("GET", "/persons/ann/export", key=service.key("persons:read", "persons:erase"))
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert body["person"] == ann
    assert body["templates"] == [{**template, "embedding": None, "crop": None}]
    assert body["last_recognized_at"] == "2030-01-01T12:00:00.000Z"
    assert {"face.verified", "person.exported"} <= {row["action"] for row in body["audit"]}
    (verified,) = (row for row in body["audit"] if row["action"] == "face.verified")
    assert verified["private"]["similarity"] == 1.0
    assert (body["identity_changes"], body["batch_items"], body["photos"]) == ([], [], 0)
    assert body["idempotency_records"] == 0


def test_kept_answers_and_merges_are_told_of(service, ann, pictures, enrolled):
    enrolled("bob", consent="told")
    fields = {"files": {"image": ("x.jpg", pictures.of("ann"), "image/jpeg")}}
    service.call("POST", "/persons/ann/templates", headers={"Idempotency-Key": "k"}, **fields)
    service.call("POST", "/persons/bob/merge", json={"into": "ann"})
    body = service.call("GET", "/persons/ann/export").json()
    assert (body["idempotency_records"], body["also_known_as"], len(body["templates"])) == (1, ["bob"], 3)
    (change,) = body["identity_changes"]
    assert (change["kind"], change["before"]["name"], change["before"]["consent"]) == ("merge", "Bob", "told")


def test_the_numbers_need_admin(service, ann, store):
    key = service.key("persons:read", "persons:erase")
    refused = service.call("GET", "/persons/ann/export?embeddings=true", key=key)
    assert (refused.status_code, refused.json()["scope"]) == (403, "admin")
    told = service.call("GET", "/persons/ann/export?embeddings=true").json()["templates"][0]["embedding"]
    with store.read() as uow:
        assert told == uow.templates.of("ann")[0].vector.tolist()
    assert str(told)[1:20] not in service.log.getvalue()


def test_either_scope_alone_is_not_enough(service, ann):
    for scope, missing in (("persons:read", "persons:erase"), ("persons:erase", "persons:read")):
        answer = service.call("GET", "/persons/ann/export", key=service.key(scope))
        assert (answer.status_code, answer.json()["scope"]) == (403, missing)


def test_an_erased_person_leads_to_the_receipt(service, ann):
    service.call("DELETE", "/persons/ann")
    answer = service.call("GET", "/persons/ann/export")
    assert (answer.status_code, answer.json()["erasure"]) == (404, "/erasures/ann")


def test_other_fields_are_refused(service, ann):
    answer = service.call("GET", "/persons/ann/export?vectors=true")
    assert (answer.status_code, answer.json()["field"]) == (422, "vectors")
