import base64

import pytest


def test_answers_201_with_where_the_person_is(service, pictures):
    answer = service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="a-1")
    body = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, "/persons/a-1")
    assert list(body) == ["person", "template", "face", "duplicates", "index_seq", "dry_run"]
    assert set(body["template"]) == {"id", "model_id", "quality", "created_at"}
    assert set(body["face"]) == {"box", "quality"}
    assert body["person"]["created_at"] == "2030-01-01T12:00:00.000Z"
    assert service.call("GET", "/persons/a-1").json() == body["person"]


def test_a_dry_run_answers_200_and_stores_nothing(service, pictures):
    answer = service.photo("/enroll", pictures.of("ann"), name="Ann", dry_run="true")
    assert (answer.status_code, answer.json()["template"], answer.json()["dry_run"]) == (200, None, True)
    assert "location" not in answer.headers
    assert service.call("GET", "/persons").json()["items"] == []


@pytest.mark.parametrize(("scopes", "seen"), [(("enroll",), False), (("enroll", "identify"), True)])
def test_who_a_duplicate_is_is_told_only_to_a_key_that_may_identify(service, pictures, scopes, seen):
    service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann")
    key = service.key(*scopes)
    refused = service.photo("/enroll", pictures.of("ann", 0.8), key=key, name="Eve")
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_person")
    expected = [{"person_id": "ann", "name": "Ann", "similarity": 0.8}]
    assert refused.json().get("duplicates") == (expected if seen else None)
    assert ("Ann" in refused.text) == seen
    allowed = service.photo("/enroll", pictures.of("ann", 0.8), key=key, name="Eve", on_duplicate="allow")
    assert allowed.json()["duplicates"] == (expected if seen else [])


def test_a_poor_face_is_told_what_would_help(service, pictures):
    answer = service.photo("/enroll", pictures.of("ann", quality=0.2), name="Ann")
    assert (answer.status_code, answer.json()["code"]) == (422, "poor_quality")
    assert answer.json()["reasons"][0]["reason"] == "blurred"
    assert answer.json()["reasons"][0]["advice"]


def test_several_faces_are_told_with_their_boxes(service, pictures):
    answer = service.photo("/enroll", pictures.show(pictures.face("ann"), pictures.face("bob")), name="Ann")
    assert (answer.json()["code"], answer.json()["boxes"]) == ("several_faces", [[5.0, 5.0, 45.0, 55.0]] * 2)


def test_times_with_a_zone_are_told_in_utc(service, pictures):
    image = base64.b64encode(pictures.of("ann")).decode()
    body = {"image": image, "name": "Ann", "valid_until": "2031-01-01T01:00:00+02:00"}
    assert service.call("POST", "/enroll", json=body).json()["person"]["valid_until"] == "2030-12-31T23:00:00.000Z"
