import base64

import pytest


@pytest.fixture
def ann(service, pictures):
    return service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann").json()


def test_says_match_and_by_which_template(service, ann, pictures):
    body = service.photo("/verify", pictures.of("ann", 0.8), person_id="ann", key=service.key("verify")).json()
    assert (body["decision"], body["reason"], body["person_id"]) == ("match", None, "ann")
    assert (body["similarity"], body["distance"], body["template_id"]) == (0.8, 0.4, ann["template"]["id"])
    assert (body["threshold"], body["operating_point"]["name"]) == (0.5, "fmr-0.001")
    assert body["index_seq"] == ann["index_seq"]
    assert "face2" not in body


@pytest.mark.parametrize(("scopes", "similarity"), [(("verify",), None), (("verify", "candidates"), 0.3)])
def test_how_close_a_no_was_is_told_only_to_a_key_with_candidates(service, ann, pictures, scopes, similarity):
    body = service.photo("/verify", pictures.of("ann", 0.3), person_id="ann", key=service.key(*scopes)).json()
    assert (body["decision"], body["reason"], body["similarity"]) == ("no_match", "below_threshold", similarity)
    assert (body["distance"] is None) == (similarity is None)
    assert body["template_id"] is None


def test_compares_two_images_in_both_forms_that_hold_two(service, pictures):
    one, other = pictures.of("ann"), pictures.of("ann", 0.8)
    form = service.call("POST", "/verify", files={"image": ("a", one), "image2": ("b", other)}).json()
    images = {"image": base64.b64encode(one).decode(), "image2": base64.b64encode(other).decode()}
    as_json = service.call("POST", "/verify", json=images).json()
    for body in (form, as_json):
        assert (body["decision"], body["similarity"], body["person_id"]) == ("match", 0.8, None)
        assert body["face2"]


def test_needs_a_person_or_a_second_image_and_not_both(service, ann, pictures):
    files = {"image": ("a", pictures.of("ann")), "image2": ("b", pictures.of("ann"))}
    for answer in (
        service.photo("/verify", pictures.of("ann")),
        service.call("POST", "/verify", files=files, data={"person_id": "ann"}),
    ):
        assert (answer.status_code, answer.json()["field"]) == (422, "person_id")


def test_an_erased_person_leads_to_the_receipt(service, ann, pictures):
    service.call("DELETE", "/persons/ann")
    answer = service.photo("/verify", pictures.of("ann"), person_id="ann")
    assert (answer.status_code, answer.json()["erasure"]) == (404, "/erasures/ann")
