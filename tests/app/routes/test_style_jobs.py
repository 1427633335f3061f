import base64
import hashlib

import pytest

from app.domain.job import STATUSES
from tests.acceptance.style_storm.renderer import LARGEST
from tests.app.routes.conftest import CONTENT, STYLE, RowsAtWork

OTHER = b"picture by Klee"


def code(answer):
    return answer.status_code, answer.json()["code"]


def test_a_job_is_taken_and_told_in_full(service, send):
    answer = send(STYLE, OTHER, steps=30, seed=7)
    assert answer.status_code == 202
    job = answer.json()
    path = f"/style-jobs/{job['id']}"
    assert answer.headers["location"] == path
    assert (job["kind"], job["status"], job["attempt"], job["max_attempts"]) == ("style", "queued", 0, 3)
    assert job["progress"] == {
        **{"fraction": 0.0, "step": 0, "steps": 30, "eta_s": None},
        **{"scale": 0, "scales": 1, "losses": None, "steps_per_s": None},
    }
    assert job["input"]["content"] == {"bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    assert [one["bytes"] for one in job["input"]["styles"]] == [len(STYLE), len(OTHER)]
    assert (job["input"]["medium"], job["input"]["options"]["size"], job["seed"]) == ("picture", 64, 7)
    assert job["queue"] == {"position": 1, "eta_s": 0.0}
    assert (job["preview"], job["output"], job["error"]) == (None, None, None)
    assert job["metrics"] == {"queue_s": None, "run_s": None, "peak_memory_bytes": None, "evaluations": None}
    assert job["engine"] == {"version": 1, "weights": "chain"}
    assert job["urls"] == {
        "self": path,
        **{name: f"{path}/{name}" for name in ("events", "preview", "result", "cancel", "resume")},
    }
    assert service.call("GET", path).json() == job


def test_a_job_on_its_way_tells_how_far_it_is(service, send, jobs):
    path = send(steps=40).headers["location"]
    job = jobs.claim()
    losses = {"total": 3.0, "content": 1.0, "style": 2.0, "per_layer": {"conv1_1": 2.0}}
    jobs.preview(job, 9)
    jobs.write(job, step=10, scale=1, losses=losses, evaluations=12, steps_per_s=2.0, metrics={"queue_s": 0.5})
    told = service.call("GET", path).json()
    assert (told["status"], told["attempt"], told["queue"]) == ("running", 1, None)
    assert told["progress"] == {
        **{"fraction": 0.25, "step": 10, "steps": 40, "eta_s": 15.0},
        **{"scale": 1, "scales": 1, "losses": losses, "steps_per_s": 2.0},
    }
    assert told["preview"] == {"url": f"{path}/preview?step=9", "step": 9}
    assert told["metrics"]["queue_s"] == 0.5
    shown = service.call("GET", told["preview"]["url"])
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, b"preview", "image/jpeg")
    assert shown.headers["x-content-type-options"] == "nosniff"


def test_the_result_is_a_file_to_be_kept(service, send, jobs):
    path = send().headers["location"]
    job = jobs.claim()
    assert code(service.call("GET", f"{path}/result")) == (409, "not_ended")
    assert code(service.call("GET", f"{path}/preview")) == (409, "not_ended")
    jobs.end(job, content=b"rendered" * 100_000)
    told = service.call("GET", path).json()
    facts = {"media_type": "image/png", "bytes": 800_000, "width": 8, "height": 4}
    digest = hashlib.sha256(b"rendered" * 100_000).hexdigest()
    assert told["output"] == {"url": f"{path}/result", "sha256": digest, **facts}
    assert told["progress"]["fraction"] == 1.0
    answer = service.call("GET", told["output"]["url"], headers={"Accept": "image/*"})
    assert (answer.content, answer.headers["content-type"]) == (b"rendered" * 100_000, "image/png")
    assert answer.headers["content-disposition"] == f'attachment; filename="{job.id}.png"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert code(service.call("GET", f"{path}/preview")) == (404, "unknown_job")


def test_a_job_that_failed_says_why_and_has_no_result(service, send, jobs):
    for error in ({"code": "worker_lost", "detail": "It was begun 3 times."}, {"code": "too_large", "detail": "No."}):
        path = send().headers["location"]
        jobs.end(jobs.claim(), "failed", error=error)
        told = service.call("GET", path).json()
        assert (told["status"], told["error"]["code"], told["error"]["detail"]) == ("failed", *error.values())
        assert told["error"]["type"] == f"/docs/problems#{error['code']}"
        assert code(service.call("GET", f"{path}/result")) == (404, "unknown_job")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"content": b"unknown"}, (415, "unsupported_media")),
        ({"content": b"damaged"}, (422, "unreadable_image")),
        ({"content": b"deaf"}, (422, "unreadable_media")),
        ({"content": b"giant"}, (422, "too_many_pixels")),
        ({"steps": 0}, (422, "invalid_option")),
        ({"colour": "style"}, (422, "invalid_option")),
        ({"size": LARGEST + 1}, (422, "too_large")),
        ({"person_id": 7}, (422, "invalid_field")),
        ({"person_id": "nobody"}, (404, "unknown_person")),
    ],
)
def test_what_cannot_be_rendered_is_refused_before_it_waits(service, send, sent, expected):
    assert code(send(**sent)) == expected
    assert service.call("GET", "/style-jobs").json() == {"items": [], "next_cursor": None}
    assert list((service.desk.settings.home / "style").glob("sty_*")) == []


def test_a_refusal_says_which_option_and_which_size_fits(send):
    assert send(colour=1).json()["option"] == "colour"
    assert send(size=LARGEST + 1).json()["fits"] == LARGEST


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ([("style", STYLE)], "content"),
        ([("content", CONTENT)], "style"),
        ([("content", CONTENT), ("content", CONTENT), ("style", STYLE)], "content"),
        ([("content", CONTENT), *[("style", STYLE)] * 5], "style"),
        ([("content", CONTENT), ("style", STYLE), ("options", b"{}"), ("options", b"{}")], "options"),
        ([("content", CONTENT), ("style", STYLE), ("options", b"[]")], "options"),
        ([("content", CONTENT), ("style", STYLE), ("options", b'{"steps": NaN}')], "options"),
        ([("content", CONTENT), ("style", STYLE), ("image", b"x")], "image"),
    ],
)
def test_a_form_that_is_no_style_job_is_refused_with_the_field(service, files, field):
    answer = service.call("POST", "/style-jobs", files=[(name, ("f", data)) for name, data in files])
    assert (*code(answer), answer.json()["field"]) == (422, "invalid_field", field)


def test_another_form_of_body_is_refused(service):
    answer = service.call("POST", "/style-jobs", json={"content": ""})
    assert code(answer) == (415, "unsupported_media")


def test_a_body_over_the_limit_is_cut_off_while_it_streams(make_service, settings):
    service = make_service(settings.model_copy(update={"max_style_body_bytes": 3_000_000}))
    sent = []

    async def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'
        while len(sent) < 1000:
            sent.append(1)
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = service.call("POST", "/style-jobs", content=endless(), headers=headers)
    assert code(answer) == (413, "body_too_large")
    assert len(sent) < 50


def test_a_style_job_may_be_larger_than_any_other_body(make_service, settings):
    sizes = {"max_body_bytes": 2000, "max_image_bytes": 2000, "max_style_body_bytes": 200_000}
    service = make_service(settings.model_copy(update=sizes))
    files = [("content", ("a", CONTENT + bytes(100_000))), ("style", ("b", STYLE))]
    assert service.call("POST", "/style-jobs", files=files).status_code == 202


def test_a_full_queue_is_refused_with_the_time_to_come_again(make_service, settings):
    service = make_service(settings.model_copy(update={"style_queue": 2}))
    files = [("content", ("a", CONTENT)), ("style", ("b", STYLE))]
    assert [service.call("POST", "/style-jobs", files=files).status_code for _ in range(2)] == [202, 202]
    answer = service.call("POST", "/style-jobs", files=files)
    assert code(answer) == (429, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1
    # It may be sent again under the same key of its own.
    key = {"Idempotency-Key": "once"}
    assert code(service.call("POST", "/style-jobs", files=files, headers=key)) == (429, "queue_full")
    RowsAtWork(service.desk).claim()
    assert service.call("POST", "/style-jobs", files=files, headers=key).status_code == 202


def test_the_same_request_again_is_the_same_job(service, send):
    key = {"Idempotency-Key": "once"}
    first = send(STYLE, headers=key, seed=1, steps=9)
    again = send(STYLE, headers=key, steps=9, seed=1)
    assert again.json() == first.json()
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert again.headers["location"] == first.headers["location"]
    for other in ({"seed": 2, "steps": 9}, {"seed": 1, "steps": 9, "content": b"picture of bob"}):
        assert code(send(STYLE, headers=key, **other)) == (409, "idempotency_conflict")
    assert code(send(STYLE, STYLE, headers=key, seed=1, steps=9)) == (409, "idempotency_conflict")
    assert send(STYLE, seed=1, steps=9).json()["id"] != first.json()["id"]
    assert len(service.call("GET", "/style-jobs").json()["items"]) == 2


def test_an_answer_that_names_somebody_goes_with_that_person(service, send, enrolled):
    enrolled("ada")
    key = {"Idempotency-Key": "once"}
    job = send(headers=key, person_id="ada").json()
    assert job["input"]["person_id"] == "ada"
    receipt = service.call("DELETE", "/persons/ada").json()
    assert receipt["removed"]["idempotency_records"] == 1
    assert receipt["removed"]["style_files"] == 2
    assert code(service.call("GET", job["urls"]["self"])) == (404, "unknown_job")


def test_only_its_key_and_an_admin_see_a_job(service, send, jobs):
    mine, other = service.key("style"), service.key("style")
    path = send(key=mine).headers["location"]
    jobs.end(jobs.claim())
    for below in ("", "/result", "/events"):
        assert service.call("GET", f"{path}{below}", key=mine).status_code == 200
        assert service.call("GET", f"{path}{below}").status_code == 200
        assert code(service.call("GET", f"{path}{below}", key=other)) == (404, "unknown_job")
    assert code(service.call("POST", f"{path}/cancel", key=other)) == (404, "unknown_job")
    assert code(service.call("POST", f"{path}/resume", key=other, json={"steps": 1})) == (404, "unknown_job")
    assert code(service.call("DELETE", path, key=other)) == (404, "unknown_job")
    assert service.call("GET", "/style-jobs", key=other).json()["items"] == []
    assert len(service.call("GET", "/style-jobs", key=mine).json()["items"]) == 1
    assert len(service.call("GET", "/style-jobs").json()["items"]) == 1
    for never in ("sty_never", "%00", "a" * 300):
        for below in ("", "/result", "/events", "/preview"):
            assert code(service.call("GET", f"/style-jobs/{never}{below}")) == (404, "unknown_job")


def test_jobs_come_in_pages_and_by_status(service, send, jobs):
    made = [send().json()["id"] for _ in range(5)]
    jobs.end(jobs.claim())
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = service.call("GET", "/style-jobs", params=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    counts = {one: len(service.call("GET", "/style-jobs", params={"status": one}).json()["items"]) for one in STATUSES}
    assert counts == {"queued": 4, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 0}
    for query in ({"status": "lost"}, {"cursor": "x"}, {"order": "up"}):
        assert code(service.call("GET", "/style-jobs", params=query)) == (422, "invalid_field")


def test_a_caller_who_has_the_job_as_it_is_gets_nothing_more(service, send, jobs):
    path = send().headers["location"]
    first = service.call("GET", path)
    again = service.call("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    jobs.write(jobs.claim(), step=1)
    changed = service.call("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_soon(service, send, jobs):
    running, waiting = send().headers["location"], send().headers["location"]
    job = jobs.claim()
    for _ in range(2):
        cancelled = service.call("POST", f"{waiting}/cancel").json()
        assert (cancelled["status"], cancelled["queue"]) == ("cancelled", None)
        asked = service.call("POST", f"{running}/cancel").json()
        assert (asked["status"], asked["cancel_asked"]) == ("running", True)
    jobs.end(job, "cancelled")
    assert service.call("POST", f"{running}/cancel").json()["status"] == "cancelled"


def test_a_job_that_has_ended_goes_on_as_another_one(service, send, jobs):
    path = send(steps=10).headers["location"]
    job = jobs.claim()
    assert code(service.call("POST", f"{path}/resume", json={"steps": 5})) == (409, "not_ended")
    jobs.checkpoint(job, 10)
    jobs.end(job)
    key = {"Idempotency-Key": "more"}
    answer = service.call("POST", f"{path}/resume", json={"steps": 5}, headers=key)
    assert answer.status_code == 202
    more = answer.json()
    assert answer.headers["location"] == more["urls"]["self"] != path
    assert (more["input"]["resumed_from"], more["progress"]["step"], more["progress"]["steps"]) == (job.id, 10, 15)
    again = service.call("POST", f"{path}/resume", json={"steps": 5}, headers=key)
    assert again.json()["id"] == more["id"]
    for steps, expected in (({"steps": 0}, "invalid_option"), ({}, "invalid_field"), ({"steps": "5"}, "invalid_field")):
        assert code(service.call("POST", f"{path}/resume", json=steps)) == (422, expected)


def test_a_job_is_deleted_with_its_files(service, send, jobs):
    path = send(masks=[base64.b64encode(b"picture, white").decode()]).headers["location"]
    jobs.claim()
    folder = service.desk.settings.home / "style" / path.rpartition("/")[2]
    assert {one.name for one in folder.iterdir()} == {"content", "style-1", "mask-1"}
    answer = service.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not folder.exists()
    for method in ("GET", "DELETE"):
        assert code(service.call(method, path)) == (404, "unknown_job")
