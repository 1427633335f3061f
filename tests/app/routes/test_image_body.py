import asyncio
import base64
import json
import threading

import pytest

from app.routes.budget import ByteBudget


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


@pytest.mark.parametrize(
    "filler", ["[" * 10_001 + "]" * 10_001, "[" + "{}," * 10_001 + "{}]", "[" + "0," * 10_001 + "0]"]
)
def test_json_that_stands_for_many_values_is_refused_before_it_is_parsed(service, photo, monkeypatch, filler):
    def must_not_be_parsed(text):
        raise AssertionError("parsed")

    monkeypatch.setattr("app.routes.body.strict_json", must_not_be_parsed)
    answer = service.call("POST", "/detect", content=f'{{"x": {filler}}}', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(("method", "path"), [("POST", "/keys"), ("PATCH", "/persons/ann")])
def test_an_object_without_a_picture_has_64_kib_at_most(service, method, path):
    headers = {"Content-Type": "application/json", "If-Match": "*"}
    for size, refused in ((65_536, False), (65_537, True)):
        answer = service.call(method, path, content=b'{"x": "' + b"x" * (size - 9) + b'"}', headers=headers)
        assert (answer.json()["code"] == "body_too_large") is refused
        assert (answer.status_code == 413) is refused


def test_bodies_on_their_way_have_a_bound_together_and_give_it_back(make_service, settings, photo):
    service = make_service(settings.model_copy(update={"max_body_bytes": 4096}))
    budget, key = service.desk.bodies, service.admin
    whole = budget.free
    assert whole == 16 * 4096
    under_way, go = threading.Event(), threading.Event()

    async def drip():
        yield b"x" * 4000
        while budget.free != whole - 4000:
            await asyncio.sleep(0.001)
        budget.free, left = 10, budget.free
        under_way.set()
        while not go.is_set():
            await asyncio.sleep(0.001)
        budget.free += left - 10
        yield b"x"

    answers = []
    headers = {"Content-Type": "image/jpeg"}
    first = threading.Thread(
        target=lambda: answers.append(service.call("POST", "/detect", key=key, content=drip(), headers=headers))
    )
    first.start()
    assert under_way.wait(5)
    refused = service.call("POST", "/detect", key=key, content=b"x" * 11, headers=headers)
    go.set()
    first.join(5)
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert (refused.headers["connection"], refused.headers["retry-after"]) == ("close", "1")
    assert [answer.status_code for answer in answers] == [422]
    assert budget.free == whole
    assert service.call("POST", "/detect", key=key, content=photo, headers=headers).status_code == 200
    assert budget.free == whole


def test_the_bound_of_bodies_holds_one_of_the_largest_and_half_a_gibibyte_at_most():
    mib = 1024 * 1024
    sizes = {most: ByteBudget.for_bodies(most * mib).free // mib for most in (1, 32, 100, 1000)}
    assert sizes == {1: 16, 32: 512, 100: 512, 1000: 1000}
