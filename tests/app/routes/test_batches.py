import base64
import io
import json
import time
import zipfile
from dataclasses import replace

import pytest

from app.errors import Busy
from app.settings import Settings

NDJSON = {"Content-Type": "application/x-ndjson"}
ZIP = {"Content-Type": "application/zip"}


def zipped(**folders):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for person, photos in folders.items():
            for number, photo in enumerate(photos, 1):
                file.writestr(zipfile.ZipInfo(f"{person}/{number}.jpg"), photo)
    return out.getvalue()


def lines(*objects):
    return b"".join(
        json.dumps({**one, **({"image": base64.b64encode(one["image"]).decode()} if "image" in one else {})}).encode()
        + b"\n"
        for one in objects
    )


@pytest.fixture
def send(service):
    def post(content, headers=ZIP, **more):
        return service.call("POST", "/enroll/batch", content=content, headers=headers, **more)

    return post


@pytest.fixture
def ended(service):
    """Waits for the end of the batch of that answer; the batch as it is then."""

    def wait(answer, key="", statuses=("succeeded", "failed", "cancelled")):
        assert answer.status_code in (200, 202), answer.text
        deadline = time.monotonic() + 10
        while (batch := service.call("GET", answer.headers["location"], key=key).json())["status"] not in statuses:
            assert time.monotonic() < deadline, batch
            time.sleep(0.01)
        return batch

    return wait


@pytest.fixture
def items(service):
    def read(batch, key="", **query):
        found = service.call("GET", batch["urls"]["items"], key=key, params={"limit": 500, **query})
        return found.json()["items"]

    return read


@pytest.fixture
def gate(reader):
    """Holds the reading of pictures until it is opened."""
    import threading

    opened = threading.Event()
    reader.before_reading = lambda: opened.wait(10)
    yield opened
    opened.set()


def outcomes(found):
    return {item["source"]: (item["status"], item["code"]) for item in found}


def people(service):
    found = service.call("GET", "/persons", params={"limit": 500}).json()["items"]
    return {person["external_id"] or person["name"]: person for person in found}


def test_a_folder_of_a_zip_becomes_a_person_with_a_template_for_each_photo(service, send, ended, items, pictures):
    content = zipped(Ada_Lovelace=[pictures.of("ada"), pictures.of("ada", 0.9)], Bob=[pictures.of("bob")])
    answer = send(content, params={"groups": ["staff", "day"], "consent": "contract"})
    assert answer.status_code == 202
    batch = ended(answer)
    assert (batch["status"], batch["kind"], batch["error"]) == ("succeeded", "enroll_batch", None)
    assert batch["progress"] == {"fraction": 1.0, "step": 3, "steps": 3, "eta_s": None}
    assert {status: count for status, count in batch["items"].items() if count} == {"enrolled": 2, "template": 1}
    ada = people(service)["Ada_Lovelace"]
    assert (ada["name"], ada["groups"], ada["consent"]) == ("Ada Lovelace", ["staff", "day"], "contract")
    found = items(batch)
    assert [(item["number"], item["source"], item["status"], item["person_id"]) for item in found] == [
        (0, "Ada_Lovelace/1.jpg", "enrolled", ada["id"]),
        (1, "Ada_Lovelace/2.jpg", "template", ada["id"]),
        (2, "Bob/1.jpg", "enrolled", people(service)["Bob"]["id"]),
    ]
    templates = service.call("GET", f"/persons/{ada['id']}/templates").json()["items"]
    assert {template["id"] for template in templates} == {item["template_id"] for item in found[:2]}


def test_a_line_is_what_post_enroll_takes(service, send, ended, items, pictures):
    content = lines(
        {"name": "Ada", "image": pictures.of("ada"), "person_id": "ada", "metadata": {"desk": 4}, "groups": ["own"]},
        {"name": "Bob", "image": pictures.of("bob"), "external_id": "b-1", "valid_until": "2031-01-01T00:00:00Z"},
        {"name": "Eve", "image": pictures.of("eve"), "dry_run": True},
    )
    batch = ended(send(content, NDJSON, params={"groups": "all of them"}))
    assert outcomes(items(batch)) == {
        "line 1": ("enrolled", None),
        "line 2": ("enrolled", None),
        "line 3": ("checked", None),
    }
    found = people(service)
    assert (found["Ada"]["id"], found["Ada"]["metadata"], found["Ada"]["groups"]) == ("ada", {"desk": 4}, ["own"])
    assert (found["b-1"]["groups"], found["b-1"]["valid_until"]) == (["all of them"], "2031-01-01T00:00:00.000Z")
    assert "Eve" not in found


def test_each_refusal_is_an_item_with_what_the_problem_would_have_said(service, send, ended, items, pictures, enrolled):
    enrolled("zoe")
    content = (
        lines(
            {"name": "a", "image": b"no picture"},
            {"name": "b", "image": pictures.show()},
            {"name": "c", "image": pictures.show(pictures.face("c"), pictures.face("d"))},
            {"name": "e", "image": pictures.of("e", quality=0.1)},
            {"name": "Zoe again", "image": pictures.of("zoe")},
            {"name": "f", "image": pictures.of("f"), "person_id": "zoe"},
            {"name": "g", "image": pictures.of("g"), "galleries": ["nowhere"]},
            {"name": "h", "image": pictures.of("h"), "color": "red"},
            {"name": "i"},
            {"name": "j" * 201, "image": pictures.of("j")},
        )
        + b"{not json\n[]\n"
    )
    found = items(ended(send(content, NDJSON)))
    assert [(item["status"], item["code"]) for item in found] == [
        ("refused", code)
        for code in (
            *("unreadable_image", "no_face", "several_faces", "poor_quality", "duplicate_person", "person_exists"),
            *("unknown_gallery", "invalid_field", "invalid_field", "invalid_field", "malformed", "malformed"),
        )
    ]
    assert all(item["detail"] for item in found)
    alone = service.photo("/enroll", pictures.of("e", quality=0.1), name="e").json()
    assert (found[3]["detail"], found[3]["problem"]) == (alone["detail"], {"reasons": alone["reasons"]})
    assert len(found[2]["problem"]["boxes"]) == 2
    assert (found[4]["person_id"], found[4]["problem"]) == ("zoe", {"similarity": 1.0})
    assert found[7]["problem"] == {"field": "color"}
    assert set(people(service)) == {"Zoe"}


def test_the_first_photo_that_is_good_enough_enrols(send, ended, items, pictures):
    photos = [b"no picture", pictures.of("ada", quality=0.1), pictures.of("ada"), pictures.of("eve")]
    assert outcomes(items(ended(send(zipped(Ada=photos))))) == {
        "Ada/1.jpg": ("refused", "unreadable_image"),
        "Ada/2.jpg": ("refused", "poor_quality"),
        "Ada/3.jpg": ("enrolled", None),
        "Ada/4.jpg": ("refused", "not_same_person"),
    }


def test_says_so_of_a_person_who_was_there_before(service, send, ended, items, pictures, enrolled):
    ada = pictures.of("ada")
    ended(send(zipped(Ada=[ada])))
    enrolled("zoe")
    batch = ended(send(zipped(Ada=[ada, pictures.of("ada", 0.9)], Zoe=[pictures.of("zoe")])))
    assert outcomes(items(batch)) == {
        "Ada/1.jpg": ("before", None),
        "Ada/2.jpg": ("template", None),
        "Zoe/1.jpg": ("refused", "duplicate_person"),
    }
    assert len(service.call("GET", f"/persons/{people(service)['Ada']['id']}/templates").json()["items"]) == 2


def test_hostile_entries_are_refused_and_the_others_enrolled(send, ended, items, pictures):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("Ada/1.jpg", pictures.of("ada"))
        file.writestr("../../Bob/1.jpg", pictures.of("bob"))
        file.writestr("/Eve/1.jpg", pictures.of("eve"))
        file.writestr("Zoe/more.zip", zipped(Zoe=[pictures.of("zoe")]))
        file.writestr("stray.jpg", pictures.of("zoe"))
    found = items(ended(send(out.getvalue())))
    assert outcomes(found) == {
        "Ada/1.jpg": ("enrolled", None),
        "../../Bob/1.jpg": ("refused", "bad_path"),
        "/Eve/1.jpg": ("refused", "bad_path"),
        "Zoe/more.zip": ("refused", "unreadable_image"),
        "stray.jpg": ("refused", "misplaced"),
    }


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415, "unsupported_media"),
        (b"{}", {**NDJSON, "Content-Encoding": "gzip"}, 415, "unsupported_media"),
        (b"", ZIP, 400, "malformed"),
        (b"no zip", ZIP, 400, "malformed"),
        (b"", NDJSON, 400, "malformed"),
        (b"{}\n" * 100, NDJSON, 413, "body_too_large"),
        (bytes(20_001), ZIP, 413, "body_too_large"),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole(make_service, settings, content, headers, status, code):
    service = make_service(settings.model_copy(update={"max_batch_bytes": 20_000, "max_batch_items": 50}))
    answer = service.call("POST", "/enroll/batch", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert list((settings.home / "batches").glob("*")) == []


def test_a_body_that_grows_beyond_the_limit_is_cut_off(make_service, settings):
    service = make_service(settings.model_copy(update={"max_batch_bytes": 3_000_000}))
    sent = []

    async def endless():
        while len(sent) < 1000:
            sent.append(1)
            yield bytes(100_000)

    answer = service.call("POST", "/enroll/batch", content=endless(), headers=ZIP)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert len(sent) < 50


def test_a_body_that_stops_coming_is_too_slow(make_service, settings):
    import asyncio

    service = make_service(settings.model_copy(update={"body_timeout_s": 0.2}))

    async def stopping():
        yield b"PK"
        await asyncio.sleep(5)

    answer = service.call("POST", "/enroll/batch", content=stopping(), headers=ZIP)
    assert (answer.status_code, answer.json()["code"]) == (408, "slow_body")
    assert list((settings.home / "batches").glob("*")) == []


def test_the_same_content_is_the_same_batch_and_is_not_done_twice(service, send, ended, pictures, reader):
    content = zipped(Ada=[pictures.of("ada"), b"no picture"])
    first = ended(send(content))
    asked = len(reader.asked)
    again = send(content)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, first["id"], "succeeded")
    other = ended(send(content, params={"groups": "staff"}))
    assert other["id"] != first["id"]
    assert other["items"]["before"] == 1
    assert len(reader.asked) == asked + 1  # the picture that is none


def test_what_was_refused_is_tried_again_when_asked(service, send, ended, items, pictures, reader, enrolled):
    enrolled("zoe")
    content = zipped(Ada=[pictures.of("ada")], Zoe=[pictures.of("zoe")])
    first = ended(send(content))
    assert (first["items"]["enrolled"], first["items"]["refused"]) == (1, 1)
    service.call("PATCH", "/persons/zoe", json={"face_opt_out": True}, headers={"If-Match": "*"})
    assert ended(send(content))["items"]["refused"] == 1
    asked = len(reader.asked)
    again = ended(send(content, params={"retry": "true"}))
    assert (again["id"], again["items"]["enrolled"], again["items"]["refused"]) == (first["id"], 2, 0)
    assert again["progress"]["step"] == 2
    assert len(reader.asked) == asked + 1


def test_only_its_key_and_an_admin_see_a_batch(service, send, ended, pictures):
    mine, other = service.key("enroll"), service.key("enroll")
    answer = send(zipped(Ada=[pictures.of("ada")]), key=mine)
    batch = ended(answer, key=mine)
    for path in (batch["urls"]["self"], batch["urls"]["items"]):
        assert service.call("GET", path, key=mine).status_code == 200
        assert service.call("GET", path).status_code == 200
        refused = service.call("GET", path, key=other)
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_job")
    assert service.call("POST", batch["urls"]["cancel"], key=other).status_code == 404
    for path in ("job_never", "..%2f"):
        assert service.call("GET", f"/enroll/batch/{path}").status_code == 404
    assert send(zipped(Ada=[pictures.of("ada")]), key=other).json()["id"] != batch["id"]


def test_whom_a_face_looks_like_is_told_only_to_a_key_that_identifies(service, send, ended, items, pictures, enrolled):
    enrolled("zoe")
    content = lines({"name": "Zoe", "image": pictures.of("zoe", 0.8)})
    for scopes, shown in ((("enroll",), (None, {})), (("enroll", "identify"), ("zoe", {"similarity": 0.8}))):
        key = service.key(*scopes)
        (item,) = items(ended(send(content, NDJSON, key=key), key=key), key=key)
        assert (item["person_id"], item["problem"]) == shown
        assert "oe" not in item["detail"]


def test_items_come_in_pages_and_by_status(service, send, ended, items, pictures):
    batch = ended(send(zipped(Ada=[pictures.of("ada"), b"1", b"2", b"3", pictures.of("ada", 0.9)])))
    seen, cursor = [], None
    while True:
        query = {"limit": 2, "status": "refused", **({"cursor": cursor} if cursor else {})}
        page = service.call("GET", batch["urls"]["items"], params=query).json()
        seen += [item["number"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [1, 2, 3]
    assert [item["number"] for item in items(batch, status="template")] == [4]
    for query in ({"status": "lost"}, {"cursor": "x"}, {"cursor": base64.urlsafe_b64encode(b"abc").decode()}):
        refused = service.call("GET", batch["urls"]["items"], params=query)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_field")


def test_a_cancelled_batch_keeps_what_is_stored_and_goes_on_when_sent_again(
    service, send, ended, pictures, gate, settings, monkeypatch
):
    monkeypatch.setattr("app.actions.jobs.BEAT_S", 0.0)
    content = zipped(**{f"P{number}": [pictures.of(f"p{number}")] for number in range(20)})
    answer = send(content)
    batch = ended(answer, statuses=("running",))
    cancelled = service.call("POST", batch["urls"]["cancel"])
    assert cancelled.status_code == 200
    gate.set()
    batch = ended(answer)
    assert batch["status"] == "cancelled"
    assert 0 < batch["items"]["pending"] < 20
    assert list((settings.home / "batches").glob("*")) == []
    assert service.call("POST", batch["urls"]["cancel"]).json()["status"] == "cancelled"
    again = ended(send(content))
    assert (again["id"], again["status"], again["items"]["enrolled"]) == (batch["id"], "succeeded", 20)
    assert len(people(service)) == 20


def test_a_waiting_batch_is_cancelled_at_once_and_its_file_goes(service, send, pictures, gate, settings):
    send(zipped(Ada=[pictures.of("ada")]))
    waiting = send(zipped(Bob=[pictures.of("bob")]))
    cancelled = service.call("POST", waiting.json()["urls"]["cancel"])
    assert cancelled.json()["status"] == "cancelled"
    assert f"{waiting.json()['id']}.batch" not in {path.name for path in (settings.home / "batches").iterdir()}


def test_a_revoked_key_enrols_nobody_any_more(service, send, ended, pictures, gate, monkeypatch):
    monkeypatch.setattr("app.actions.jobs.BEAT_S", 0.0)
    key = service.key("enroll")
    answer = send(zipped(**{f"P{number}": [pictures.of(f"p{number}")] for number in range(20)}), key=key)
    ended(answer, statuses=("running",))
    service.call("DELETE", f"/keys/{key.split('_')[1]}")
    gate.set()
    batch = ended(answer)
    assert (batch["status"], batch["error"]["code"], batch["error"]["status"]) == ("failed", "bad_key", 401)
    assert batch["items"]["pending"] > 0


def test_the_file_goes_with_the_end_of_the_batch(send, ended, pictures, settings):
    ended(send(zipped(Ada=[pictures.of("ada")])))
    deadline = time.monotonic() + 5
    while list((settings.home / "batches").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_whoever_is_erased_leaves_the_batch_and_its_file_and_does_not_come_back(
    service, send, ended, items, pictures, settings, reader, clock
):
    import threading

    ada, later = pictures.of("ada"), pictures.of("ada", 0.9)
    held, opened = threading.Event(), threading.Event()

    def hold():
        if len(reader.asked) == 2:
            held.set()
            opened.wait(10)

    reader.before_reading = hold
    content = zipped(Ada=[ada, b"held", later], Bob=[pictures.of("bob")])
    answer = send(content)
    assert held.wait(10)
    person_id = people(service)["Ada"]["id"]
    receipt = service.call("DELETE", f"/persons/{person_id}").json()
    assert receipt["removed"]["batch_files"] == 3
    (file,) = (settings.home / "batches").iterdir()
    left = file.read_bytes()
    assert not any(trace in left for trace in (b"Ada", ada, later))
    assert b"Bob" in left
    opened.set()
    batch = ended(answer)
    assert (batch["items"]["erased"], batch["items"]["enrolled"]) == (3, 1)
    assert all(
        not any(item[name] for name in ("source", "person_id", "code")) for item in items(batch, status="erased")
    )
    for more in ({}, {"retry": "true"}):
        ended(send(content, params=more))
        assert set(people(service)) == {"Bob"}


def test_backs_off_while_the_reader_is_busy(send, ended, pictures, reader):
    refusals = iter([Busy(), Busy(), Busy()])

    def busy():
        for refusal in refusals:
            raise refusal

    reader.before_reading = busy
    assert ended(send(zipped(Ada=[pictures.of("ada")])))["items"]["enrolled"] == 1


def test_makes_way_for_pictures_that_wait_and_does_not_starve(make_service, pictures, reader, monkeypatch):
    monkeypatch.setattr("app.actions.jobs.WAY_S", 0.3)
    reader.waiting = lambda: 1
    service = make_service()
    began = time.monotonic()
    content = zipped(Ada=[pictures.of("ada")])
    path = service.call("POST", "/enroll/batch", content=content, headers=ZIP).headers["location"]
    while service.call("GET", path).json()["status"] != "succeeded":
        assert time.monotonic() - began < 10
        time.sleep(0.01)
    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize(("lanes", "most"), [(1, 1), (2, 1), (4, 3)])
def test_leaves_a_lane_to_doors_where_there_is_more_than_one(make_service, parts, pictures, reader, lanes, most):
    import threading

    lock, now, peak = threading.Lock(), 0, 0

    def count():
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    reader.before_reading = count
    service = make_service(parts=replace(parts, about=replace(parts.about, lanes=lanes)))
    content = zipped(**{f"P{number}": [pictures.of(f"p{number}")] for number in range(12)})
    answer = service.call("POST", "/enroll/batch", content=content, headers=ZIP)
    deadline = time.monotonic() + 10
    while service.call("GET", answer.headers["location"]).json()["status"] != "succeeded":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert peak == most


def test_a_photo_that_meets_a_fault_of_ours_does_not_keep_others_from_being_enrolled(
    service, send, ended, items, pictures, reader
):
    def fault():
        if len(reader.asked) == 1:
            raise ZeroDivisionError("secret")

    reader.before_reading = fault
    found = items(ended(send(zipped(Ada=[pictures.of("ada")], Bob=[pictures.of("bob")]))))
    assert outcomes(found) == {"Ada/1.jpg": ("refused", "internal"), "Bob/1.jpg": ("enrolled", None)}
    assert "secret" not in json.dumps(found)
    assert "ZeroDivisionError" in service.log.getvalue()
    assert "secret" not in service.log.getvalue()


def test_a_bound_key_enrols_only_into_its_galleries(service, send, ended, items, pictures):
    service.call("POST", "/galleries", json={"id": "north", "name": "North"})
    service.call("POST", "/galleries", json={"id": "south", "name": "South"})
    key = service.key("enroll", galleries=["north"])
    content = zipped(Ada=[pictures.of("ada"), pictures.of("ada", 0.9)])
    for more, code in (({}, "invalid_field"), ({"params": {"galleries": "south"}}, "unknown_gallery")):
        answer = send(content, key=key, **more)
        assert answer.json()["code"] == code
    batch = ended(send(content, key=key, params={"galleries": "north"}), key=key)
    assert (batch["items"]["enrolled"], batch["items"]["template"]) == (1, 1)
    assert people(service)["Ada"]["galleries"] == ["all", "north"]
    content = lines({"name": "Bob", "image": pictures.of("bob")}, {"name": "Eve", "image": pictures.of("eve")})
    batch = ended(send(content, NDJSON, key=key), key=key)
    assert {item["code"] for item in items(batch, key=key)} == {"invalid_field"}


def test_an_idempotency_key_gives_the_first_answer_again(send, ended, pictures, settings):
    headers = {**ZIP, "Idempotency-Key": "once"}
    content = zipped(Ada=[pictures.of("ada")])
    first = send(content, headers=headers)
    ended(first)
    again = send(content, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = send(zipped(Bob=[pictures.of("bob")]), headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_a_stopped_service_queues_its_batch_again_and_the_next_one_goes_on(
    make_service, pictures, gate, reader, settings, parts
):
    service = make_service()
    content = zipped(**{f"P{number}": [pictures.of(f"p{number}")] for number in range(20)})
    path = service.call("POST", "/enroll/batch", content=content, headers=ZIP).headers["location"]
    while service.call("GET", path).json()["status"] != "running":
        time.sleep(0.005)
    admin = service.admin
    stopping = service.begin_stop()
    gate.set()
    stopping.result(20)
    with parts.store.read() as uow:
        job = uow.jobs.get(path.split("/")[-1])
    assert (job.status, job.attempt) == ("queued", 0)
    assert 0 < job.step < 20
    again = make_service()
    deadline = time.monotonic() + 10
    while (batch := again.call("GET", path, key=admin).json())["status"] != "succeeded":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert batch["items"]["enrolled"] == 20


def test_two_services_on_one_home_never_enrol_anybody_twice(make_service, pictures, settings: Settings, reader):
    reader.before_reading = lambda: time.sleep(0.002)
    one, other = make_service(), make_service()
    contents = [
        zipped(**{f"P{batch}_{number}": [pictures.of(f"p{batch}{number}")] for number in range(12)})
        for batch in range(6)
    ]
    paths = [
        service.call("POST", "/enroll/batch", key=one.admin, content=content, headers=ZIP).headers["location"]
        for content in contents
        for service in (one, other)
    ]
    deadline = time.monotonic() + 15
    batches = {}
    for path in set(paths):
        while (batches.setdefault(path, {}) or {}).get("status") != "succeeded":
            batches[path] = other.call("GET", path, key=one.admin).json()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert len(batches) == 6
    assert sum(batch["items"]["enrolled"] for batch in batches.values()) == 72
    assert len(reader.asked) == 72
