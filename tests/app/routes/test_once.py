import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.errors import NotAcknowledged

KEY = {"Idempotency-Key": "door-7/2030-01-01/1"}


def enroll(service, image, headers=KEY, key="", **fields):
    fields = {"name": "Ann", **fields}
    files = {"image": ("photo.jpg", image, "image/jpeg")}
    return service.call("POST", "/enroll", key=key, headers=headers, files=files, data=fields)


def persons(service):
    return service.call("GET", "/persons").json()["items"]


def test_the_same_request_again_gets_the_first_answer_and_enrols_nobody(service, pictures):
    image = pictures.of("ann")
    first = enroll(service, image)
    again = enroll(service, image)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(persons(service)) == 1


def test_without_the_header_the_same_request_is_another_one(service, pictures):
    image = pictures.of("ann")
    assert enroll(service, image, headers={}).status_code == 201
    assert enroll(service, image, headers={}).json()["code"] == "duplicate_person"


def test_the_form_does_not_matter_only_what_it_says(service, pictures):
    image = pictures.of("ann")
    first = enroll(service, image)
    raw = service.call(
        "POST", "/enroll", headers={**KEY, "Content-Type": "image/jpeg"}, params={"name": "Ann"}, content=image
    )
    assert raw.content == first.content


def test_another_request_under_the_same_key_is_refused(service, pictures):
    enroll(service, pictures.of("ann"))
    for other in (enroll(service, pictures.of("bob")), enroll(service, pictures.of("ann"), name="Anna")):
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert len(persons(service)) == 1


def test_keys_of_other_callers_and_routes_are_apart(service, pictures):
    assert enroll(service, pictures.of("ann"), person_id="ann").status_code == 201
    other = enroll(service, pictures.of("bob"), key=service.key("enroll"), name="Bob")
    assert (other.status_code, "idempotent-replayed" in other.headers) == (201, False)
    files = {"image": ("photo.jpg", pictures.of("ann", 0.95), "image/jpeg")}
    added = service.call("POST", "/persons/ann/templates", headers=KEY, files=files)
    again = service.call("POST", "/persons/ann/templates", headers=KEY, files=files)
    assert (added.status_code, again.content) == (201, added.content)
    assert len(service.call("GET", "/persons/ann/templates").json()["items"]) == 2


def test_a_refusal_is_remembered_too(service, pictures):
    nobody = pictures.show()
    first, again = enroll(service, nobody), enroll(service, nobody)
    assert (first.status_code, first.json()["code"]) == (422, "no_face")
    assert again.content == first.content
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotent-replayed"] == "true"


def test_a_fault_of_ours_is_not_remembered(service, pictures, reader):
    image = pictures.of("ann")
    broken = RuntimeError("a fault of the reader")

    def fail():
        raise broken

    reader.before_reading = fail
    assert enroll(service, image).status_code == 500
    reader.before_reading = lambda: None
    assert enroll(service, image).status_code == 201


def test_of_two_at_once_one_is_carried_out_and_the_other_told_to_wait(service, pictures, reader):
    image, reading, go_on = pictures.of("ann"), threading.Event(), threading.Event()

    def wait():
        reading.set()
        assert go_on.wait(10)

    reader.before_reading = wait
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(enroll, service, image)
        assert reading.wait(10)
        second = enroll(service, image)
        go_on.set()
        assert first.result().status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "in_progress")
    assert second.headers["retry-after"] == "1"
    assert enroll(service, image).headers["idempotent-replayed"] == "true"


def test_an_attempt_whose_process_died_is_tried_again_and_can_keep_nothing_any_more(service, pictures, reader, clock):
    image, reading, go_on = pictures.of("ann"), threading.Event(), threading.Event()

    def wait():
        reader.before_reading = lambda: None
        reading.set()
        assert go_on.wait(10)

    reader.before_reading = wait
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(enroll, service, image, on_duplicate="allow")
        assert reading.wait(10)
        clock.move(seconds=31)
        second = enroll(service, image, on_duplicate="allow")
        go_on.set()
        # It was not dead after all: what it would have written is rolled back.
        assert (stuck.result().status_code, stuck.result().json()["code"]) == (409, "in_progress")
    assert second.status_code == 201
    assert len(persons(service)) == 1


def test_a_dry_run_is_answered_the_same_again(service, pictures):
    image = pictures.of("ann")
    first = enroll(service, image, dry_run="true")
    enroll(service, pictures.of("ann"), headers={})
    again = enroll(service, image, dry_run="true")
    assert (first.status_code, again.content) == (200, first.content)


def test_what_is_kept_expires_after_a_day(service, pictures, clock):
    image = pictures.of("ann")
    enroll(service, image)
    clock.move(hours=24)
    assert enroll(service, image).json()["code"] == "duplicate_person"


def test_an_erased_person_is_in_no_kept_answer(service, pictures, store):
    image = pictures.of("ann")
    assert enroll(service, image, person_id="ann").status_code == 201
    refused = enroll(service, image, headers={"Idempotency-Key": "another"}, name="Eve")
    assert refused.json()["duplicates"][0]["person_id"] == "ann"
    receipt = service.call("DELETE", "/persons/ann").json()
    assert receipt["removed"]["idempotency_records"] == 2
    assert store.committed.remembered == {}
    assert enroll(service, image, headers={"Idempotency-Key": "another"}, name="Eve").status_code == 201


def test_an_erased_person_is_in_no_kept_dry_run(service, pictures, store):
    enroll(service, pictures.of("bob"), headers={}, person_id="bob", name="Bob")
    image = pictures.of("bob", 0.9)
    asked = {"dry_run": "true", "on_duplicate": "allow", "person_id": "ann"}
    first = enroll(service, image, **asked)
    assert [one["person_id"] for one in first.json()["duplicates"]] == ["bob"]
    assert service.call("DELETE", "/persons/bob").json()["removed"]["idempotency_records"] == 1
    assert store.committed.remembered == {}
    again = enroll(service, image, **asked)
    assert (again.json()["duplicates"], "idempotent-replayed" in again.headers) == ([], False)
    # Whom the dry run was about is enrolled only afterwards.
    enroll(service, pictures.of("ann"), headers={}, person_id="ann")
    assert service.call("DELETE", "/persons/ann").json()["removed"]["idempotency_records"] == 1


def test_an_answer_that_says_where_somebody_went_goes_with_who_that_is(service, pictures, store):
    for who in ("ann", "bob"):
        enroll(service, pictures.of(who), headers={}, person_id=who)
    service.call("POST", "/persons/bob/merge", json={"into": "ann"})
    files = {"image": ("photo.jpg", pictures.of("bob"), "image/jpeg")}
    answer = service.call("POST", "/persons/bob/templates", headers=KEY, files=files)
    assert (answer.status_code, answer.json()["merged_into"]) == (404, "ann")
    assert len(store.committed.remembered) == 1
    service.call("DELETE", "/persons/ann")
    assert store.committed.remembered == {}


@pytest.fixture
def erase_before_writing(service, store, reader):
    """Erases somebody once the picture was looked for and before the transaction that follows."""
    write = store.write

    def arrange(person_id):
        def erase_first():
            store.write = write
            service.desk.erase(person_id)
            return write()

        def once():
            reader.before_reading = lambda: None
            store.write = erase_first

        reader.before_reading = once

    return arrange


def test_a_refusal_that_names_somebody_erased_meanwhile_is_not_kept(service, pictures, store, erase_before_writing):
    enroll(service, pictures.of("bob"), headers={}, person_id="bob", name="Bob")
    image = pictures.of("bob", 0.9)
    erase_before_writing("bob")
    assert enroll(service, image).json()["duplicates"][0]["person_id"] == "bob"
    assert store.committed.remembered == {}
    assert enroll(service, image).status_code == 201


def test_what_was_stored_is_answered_without_somebody_erased_meanwhile(service, pictures, store, erase_before_writing):
    enroll(service, pictures.of("bob"), headers={}, person_id="bob", name="Bob")
    image = pictures.of("bob", 0.9)
    erase_before_writing("bob")
    first = enroll(service, image, on_duplicate="allow")
    assert (first.status_code, first.json()["duplicates"]) == (201, [])
    assert enroll(service, image, on_duplicate="allow").content == first.content


def test_a_commit_that_nobody_acknowledged_and_that_was_made_is_not_carried_out_twice(service, pictures, store, reader):
    write = store.write

    @contextmanager
    def unacknowledged():
        store.write = write
        with write() as uow:
            yield uow
        raise NotAcknowledged

    def once():
        reader.before_reading = lambda: None
        store.write = unacknowledged

    reader.before_reading = once
    image = pictures.of("ann")
    assert enroll(service, image, on_duplicate="allow").status_code == 503
    again = enroll(service, image, on_duplicate="allow")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert len(persons(service)) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "schlüssel"])
def test_a_header_that_cannot_be_a_key_is_refused(service, pictures, key):
    answer = enroll(service, pictures.of("ann"), headers={"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
