import asyncio
import base64
import json

import pytest


@pytest.fixture
def photo(pictures):
    return pictures.of("ann")


FIELDS = {"name": "Ann", "external_id": "e1", "dry_run": True, "groups": ["day", "night"], "metadata": {"desk": 3}}


def in_each_form(service, photo, form):
    texts = {
        "name": "Ann",
        "external_id": "e1",
        "dry_run": "true",
        "groups": ["day", "night"],
        "metadata": '{"desk":3}',
    }
    if form == "multipart":
        return service.photo("/enroll", photo, **texts)
    if form == "json":
        return service.call("POST", "/enroll", json={"image": base64.b64encode(photo).decode(), **FIELDS})
    return service.call("POST", "/enroll", params=texts, content=photo, headers={"Content-Type": form})


@pytest.mark.parametrize("form", ["multipart", "json", "image/jpeg", "image/heic", "application/octet-stream"])
def test_the_three_forms_say_the_same(service, photo, form):
    answer = in_each_form(service, photo, form)
    assert answer.status_code == 200
    person = answer.json()["person"]
    assert (person["name"], person["external_id"], person["groups"], person["metadata"]) == (
        "Ann",
        "e1",
        ["day", "night"],
        {"desk": 3},
    )


def test_null_in_json_is_left_out(service, photo):
    body = {"image": base64.b64encode(photo).decode(), "name": "Ann", "external_id": None, "dry_run": None}
    assert service.call("POST", "/enroll", json=body).status_code == 201


def test_a_content_type_may_have_parameters_and_capitals(service, photo):
    body = json.dumps({"image": base64.b64encode(photo).decode(), "name": "Ann"})
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert service.call("POST", "/enroll", content=body, headers=headers).status_code == 201


def test_text_is_utf_8_in_each_form(service, pictures):
    for form in ("multipart", "json", "image/jpeg"):
        name, image = "Zoë Łuç 李", pictures.of(form)
        if form == "multipart":
            answer = service.photo("/enroll", image, name=name)
        elif form == "json":
            answer = service.call("POST", "/enroll", json={"image": base64.b64encode(image).decode(), "name": name})
        else:
            answer = service.call(
                "POST", "/enroll", params={"name": name}, content=image, headers={"Content-Type": form}
            )
        assert answer.json()["person"]["name"] == name


def test_a_body_is_cut_off_as_soon_as_it_is_too_large(make_service, settings):
    service = make_service(settings.model_copy(update={"max_body_bytes": 4096}))
    sent = []

    async def drip():
        for _ in range(1000):
            sent.append(1)
            yield b"x" * 1024

    answer = service.call("POST", "/detect", content=drip(), headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert len(sent) < 10


def test_a_body_that_says_it_is_too_large_is_not_even_read(make_service, settings):
    service = make_service(settings.model_copy(update={"max_body_bytes": 4096}))

    async def must_not_be_read():
        raise AssertionError("read")

    status = []

    async def send(message):
        if message["type"] == "http.response.start":
            status.append(message["status"])

    headers = [(b"content-type", b"image/jpeg"), (b"content-length", b"4097")]
    headers.append((b"authorization", f"Bearer {service.admin}".encode()))
    service.run(service.app(scope("POST", "/detect", headers), must_not_be_read, send))
    assert status == [413]


def test_a_body_that_comes_too_slowly_is_given_up(make_service, settings):
    service = make_service(settings.model_copy(update={"body_timeout_s": 0.05}))

    async def stall():
        yield b"x"
        await asyncio.sleep(5)

    answer = service.call("POST", "/detect", content=stall(), headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.json()["code"]) == (408, "slow_body")


def test_a_caller_who_leaves_in_the_middle_is_no_fault(service):
    async def leave():
        return {"type": "http.disconnect"}

    async def send(message):
        raise AssertionError(message)

    headers = [(b"content-type", b"image/jpeg"), (b"authorization", f"Bearer {service.admin}".encode())]
    service.run(service.app(scope("POST", "/detect", headers), leave, send))
    line = json.loads(service.log.getvalue().splitlines()[-1])
    assert (line["status"], line["level"]) == (499, "info")


def test_a_larger_image_than_allowed_is_refused_within_a_body_that_is_not(make_service, settings, reader):
    service = make_service(settings.model_copy(update={"max_image_bytes": 1024}))
    answer = service.photo("/detect", b"x" * 1025)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert reader.asked == []


def test_a_large_body_is_parsed_too(service, reader):
    answer = service.photo("/detect", b"x" * 2_000_000)
    assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_image")
    assert len(reader.asked) == 1


def scope(method, path, headers):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
