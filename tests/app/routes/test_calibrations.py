import io
import json
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

ZIP = {"Content-Type": "application/zip"}


def zipped(photos):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for path, content in photos:
            file.writestr(zipfile.ZipInfo(path), content)
    return out.getvalue()


def ended(service, job, **more):
    deadline = time.monotonic() + 10
    while job["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
        job = service.call("GET", job["urls"]["self"], **more).json()
    return job


@pytest.fixture
def photos(pictures):
    """Two photos each of random people, enough to measure on."""
    chance, found = np.random.default_rng(5), []
    for number in range(120):
        centre = chance.normal(size=128)
        for photo in range(2):
            vector = centre + 0.6 * chance.normal(size=128)
            face = replace(pictures.face("p"), embedding=(vector / np.linalg.norm(vector)).astype(np.float32))
            found.append((f"p{number}/{photo}.jpg", pictures.show(face)))
    return found


def test_photos_that_are_sent_are_measured_and_deleted(service, photos, settings):
    key = service.key("calibrate")
    answer = service.call("POST", "/calibrations?name=our+lobby", content=zipped(photos), headers=ZIP, key=key)
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/calibrations/{job['id']}")
    assert (job["kind"], job["name"]) == ("calibration", "our lobby")
    job = ended(service, job, key=key)
    assert (job["status"], job["progress"]["step"], job["error"]) == ("succeeded", 240, None)
    found = job["calibration"]
    assert (found["model_id"], found["sample"]["people"], found["sample"]["photos"]) == ("model-a", 120, 240)
    assert found["verification"][0]["kind"] == "fmr"
    assert list((settings.home / "calibrations").iterdir()) == []
    # What `onelook calibrate` writes: the next start takes it.
    assert list(json.loads((settings.home / "calibration.json").read_text())) == ["model-a"]
    other = service.call("GET", job["urls"]["self"], key=service.key("calibrate"))
    assert (other.status_code, other.json()["code"]) == (404, "unknown_job")


def test_photos_that_carry_no_threshold_fail_with_the_reason(service, pictures):
    sent = service.call("POST", "/calibrations", content=zipped([("a/1.jpg", pictures.of("a"))]), headers=ZIP)
    job = ended(service, sent.json())
    assert (job["status"], job["error"]["code"], job["calibration"]) == ("failed", "sample_too_small", None)
    assert "people are too few" in job["error"]["detail"]


def test_the_same_again_is_the_same_job_measured_again(service, photos):
    content = zipped(photos[:4])
    first = ended(service, service.call("POST", "/calibrations", content=content, headers=ZIP).json())
    again = ended(service, service.call("POST", "/calibrations", content=content, headers=ZIP).json())
    assert (first["id"], first["status"]) == (again["id"], again["status"])
    assert again["finished_at"] >= first["finished_at"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"no zip", "application/zip", 400),
        (b"{}", "application/x-ndjson", 415),
        (b"{}", "application/json", 415),
        (bytes(2_000_000), "application/zip", 413),
    ],
)
def test_what_is_no_zip_or_too_much_is_refused_and_leaves_nothing(make_service, settings, content, kind, status):
    service = make_service(settings.model_copy(update={"max_batch_bytes": 1_000_000}))
    answer = service.call("POST", "/calibrations", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert list((settings.home / "calibrations").glob("*")) == []


def test_it_can_be_cancelled_and_keeps_no_photo(make_service, photos, settings, monkeypatch):
    monkeypatch.setattr("app.worker.calibration_work.CalibrationWork.waits", lambda work: [])
    service = make_service()
    job = service.call("POST", "/calibrations", content=zipped(photos[:4]), headers=ZIP).json()
    assert len(list((settings.home / "calibrations").iterdir())) == 1
    assert service.call("POST", job["urls"]["cancel"]).json()["status"] == "cancelled"
    assert list((settings.home / "calibrations").iterdir()) == []


def test_only_a_key_that_may_calibrate_may(service):
    key = service.key("enroll", "identify")
    assert service.call("POST", "/calibrations", content=b"", headers=ZIP, key=key).status_code == 403
