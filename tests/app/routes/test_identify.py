import pytest


@pytest.fixture
def door(service):
    return service.key("identify")


@pytest.fixture
def ann(service, pictures):
    return service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann", metadata='{"salary":1}').json()


def test_names_who_is_recognized_and_no_more_than_that(service, door, ann, pictures):
    body = service.photo("/identify", pictures.of("ann", 0.8), key=door).json()
    assert (body["decision"], body["reason"]) == ("recognized", None)
    assert body["person"] == {"id": "ann", "name": "Ann", "external_id": None}
    assert (body["similarity"], body["distance"], body["margin"], body["probability"]) == (0.8, 0.4, None, None)
    assert body["gallery"] == {"id": "all", "persons": 1, "templates": 1}
    assert body["index_seq"] == ann["index_seq"]
    assert set(body["timings_ms"]) == {"decode", "detect", "align", "encode", "search", "rest", "queue", "total"}
    assert body["threshold"] == 0.6
    assert body["operating_point"]["target"] == {"kind": "fpir", "value": 0.01}
    assert "results" not in body


@pytest.mark.parametrize("similarity", [0.59, 0.1])
def test_below_the_threshold_nobody_has_a_name_and_no_number_tells(service, door, ann, pictures, similarity):
    answer = service.photo("/identify", pictures.of("ann", similarity), key=door)
    body = answer.json()
    assert (body["decision"], body["person"], body["reason"]) == ("not_recognized", None, "below_threshold")
    assert (body["similarity"], body["distance"], body["margin"], body["candidates"]) == (None, None, None, [])
    assert "Ann" not in answer.text


def test_a_key_with_candidates_sees_rivals_and_numbers(service, ann, pictures):
    service.photo("/enroll", pictures.of("bob"), name="Bob", person_id="bob")
    key = service.key("identify", "candidates")
    body = service.photo("/identify", pictures.of("ann", 0.5, like="bob"), key=key, target_fpir="0.01").json()
    assert body["person"] == {"id": "bob", "name": "Bob", "external_id": None}
    assert [(c["person"]["id"], c["rank"], c["similarity"]) for c in body["candidates"]] == [
        ("bob", 1, 0.866025),
        ("ann", 2, 0.5),
    ]
    poor = service.photo("/identify", pictures.of("ann", 0.5), key=key).json()
    assert (poor["decision"], poor["person"], poor["similarity"], poor["distance"]) == (
        "not_recognized",
        None,
        0.5,
        1.0,
    )
    assert len(service.photo("/identify", pictures.of("ann"), key=key, top_k="1").json()["candidates"]) == 1


def test_top_k_needs_the_scope(service, door, ann, pictures):
    answer = service.photo("/identify", pictures.of("ann"), key=door, top_k="3")
    assert (answer.status_code, answer.json()["scope"]) == (403, "candidates")


def test_nobody_is_named_who_is_expired_or_ambiguous(service, door, ann, pictures, clock):
    service.photo("/enroll", pictures.of("ann"), name="Twin", on_duplicate="allow")
    service.photo("/enroll", pictures.of("bob"), name="Bob", valid_until="2030-01-01T13:00:00Z")
    clock.move(hours=2)
    for who, reason in (("ann", "ambiguous"), ("bob", "expired")):
        body = service.photo("/identify", pictures.of(who), key=door).json()
        assert (body["decision"], body["reason"]) == ("not_recognized", reason)
        assert (body["person"], body["similarity"], body["margin"]) == (None, None, None)


def test_every_face_has_a_result_when_all_are_asked_for(service, door, ann, pictures):
    image = pictures.show(pictures.face("bob"), pictures.face("ann"))
    body = service.photo("/identify", image, key=door, faces="all").json()
    assert [result["decision"] for result in body["results"]] == ["not_recognized", "recognized"]
    assert body["decision"] == "not_recognized"


def test_a_target_without_evidence_is_told_the_least(service, door, ann, pictures):
    answer = service.photo("/identify", pictures.of("ann"), key=door, target_fpir="0.0001")
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_target")
    assert (answer.json()["kind"], answer.json()["least"]) == ("fpir", 0.01)


def test_somebody_erased_is_recognized_no_more(service, door, ann, pictures):
    receipt = service.call("DELETE", "/persons/ann").json()
    body = service.photo("/identify", pictures.of("ann"), key=door).json()
    assert (body["decision"], body["reason"]) == ("not_recognized", "empty_gallery")
    assert body["index_seq"] >= receipt["index_seq"]


def test_the_log_and_the_metrics_know_the_decision_and_nobodys_name(service, door, ann, pictures):
    service.photo("/identify", pictures.of("ann"), key=door)
    log, metrics = service.log.getvalue(), service.call("GET", "/metrics").text
    assert '"decisions": ["recognized"]' in log
    assert 'onelook_decisions_total{decision="recognized",route="/identify"} 1.0' in metrics
    assert 'onelook_gallery_persons{gallery="all"} 1.0' in metrics
    assert 'onelook_step_seconds_count{step="encode"} 1.0' in metrics
    for told in (log, metrics):
        assert "Ann" not in told
        assert '"ann"' not in told


def test_only_a_key_with_candidates_sees_how_far_behind_the_second_is(service, door, ann, pictures):
    service.photo("/enroll", pictures.of("bob"), name="Bob", person_id="bob")
    image = pictures.of("ann", 0.9, like="bob")
    told = service.photo("/identify", image, key=service.key("identify", "candidates")).json()
    assert (told["decision"], told["margin"] > 0.4) == ("recognized", True)
    body = service.photo("/identify", image, key=door, faces="all").json()
    assert (body["decision"], body["similarity"], body["margin"]) == ("recognized", 0.9, None)
    assert body["results"][0]["margin"] is None
