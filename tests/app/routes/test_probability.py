"""What is said of how likely a match is right, where the calibration says it."""

from dataclasses import replace

import pytest


@pytest.fixture
def service(make_service, parts, likely):
    return make_service(parts=replace(parts, calibration=likely))


@pytest.fixture
def ann(service, pictures):
    return service.photo("/enroll", pictures.of("ann"), name="Ann", person_id="ann").json()


def test_a_match_says_how_likely_both_are_one_person(service, ann, pictures):
    body = service.photo("/verify", pictures.of("ann", 0.6), person_id="ann", key=service.key("verify")).json()
    assert (body["decision"], body["probability"]) == ("match", pytest.approx(1000 / 1001, abs=1e-6))


def test_two_pictures_have_a_probability_too(service, pictures):
    files = {"image": ("a", pictures.of("ann")), "image2": ("b", pictures.of("ann", 0.45))}
    body = service.call("POST", "/verify", files=files).json()
    assert body["probability"] == pytest.approx(1 / (1 + 1000**-0.5), abs=1e-6)


@pytest.mark.parametrize(("scopes", "probability"), [(("verify",), None), (("verify", "candidates"), 0.5)])
def test_of_a_no_it_is_told_only_where_the_similarity_is(service, ann, pictures, scopes, probability):
    body = service.photo("/verify", pictures.of("ann", 0.3), person_id="ann", key=service.key(*scopes)).json()
    assert body["decision"] == "no_match"
    assert body["probability"] == (probability if probability is None else pytest.approx(probability, abs=1e-3))


def test_the_person_named_among_more_is_less_likely_the_right_one(service, ann, pictures):
    image = pictures.of("ann", 0.6)
    alone = service.photo("/identify", image, key=service.key("identify")).json()["probability"]
    assert alone == pytest.approx(1000 / 1001, abs=1e-6)
    for number in range(3):
        service.photo("/enroll", pictures.of(f"other-{number}"), name="Other")
    among = service.photo("/identify", image, key=service.key("identify")).json()["probability"]
    assert among == pytest.approx(250 / 251, abs=1e-6)


def test_where_nobody_is_named_nothing_is_said(service, ann, pictures):
    key = service.key("identify", "candidates")
    body = service.photo("/identify", pictures.of("ann", 0.5), key=key, faces="all").json()
    assert (body["similarity"], body["probability"], body["results"][0]["probability"]) == (0.5, None, None)


def test_nothing_is_certain(service, ann, pictures, parts, likely, make_service):
    steep = replace(likely.likelihood, knots=((0.0, -99.0), (0.5, 99.0)))
    other = make_service(parts=replace(parts, calibration=replace(likely, likelihood=steep)))
    body = other.photo("/identify", pictures.of("ann")).json()
    assert (body["decision"], body["probability"]) == ("recognized", 0.999999)


def test_calibration_tells_what_the_probability_stands_on(service):
    body = service.call("GET", "/calibration").json()
    told = body["probability"]
    assert (told["method"], told["prior"], told["twice"]) == ("isotonic", 0.5, 50)
    assert told["knots"][1] == [0.3, 0.0]
    assert [trial["method"] for trial in told["trials"]] == ["isotonic", "platt"]
    assert (body["own"], body["between"]) == (False, [])
