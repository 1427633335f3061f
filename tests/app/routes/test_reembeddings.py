import base64
import dataclasses
import io
import time

import numpy as np
import pytest
from PIL import Image

from app.domain.model import Served
from app.inference.calibration import following

NEW = "model-b"


def of_model(calibration, model_id):
    points = {
        kind: tuple(dataclasses.replace(point, model_id=model_id) for point in getattr(calibration, kind))
        for kind in ("verification", "identification")
    }
    return dataclasses.replace(calibration, model_id=model_id, **points)


@pytest.fixture
def parts(parts, calibration, reader, store):
    """A home that is served by `model-a`, whose settings make `model-b`."""
    with store.write() as uow:
        uow.models.serve(Served("model-a"))
        uow.commit()
    known = {"model-a": calibration, NEW: of_model(calibration, NEW)}
    points = following(lambda: known[reader.model_id])
    return dataclasses.replace(parts, calibration=points, wanted_model_id=NEW)


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"keep_crops": True})


def ended(service, job):
    deadline = time.monotonic() + 10
    while job["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
        job = service.call("GET", job["urls"]["self"]).json()
    return job


def test_the_service_goes_over_to_the_model_that_is_wanted(service, pictures):
    for who in ("ann", "bob"):
        assert service.photo("/enroll", pictures.of(who), name=who, person_id=who).status_code == 201
    info = service.call("GET", "/info").json()
    assert (info["model_id"], info["wanted_model_id"], info["next_model_id"]) == ("model-a", NEW, None)
    assert info["model_note"] == f"{NEW} is wanted, and model-a is served until re-embedding: POST /reembeddings"
    answer = service.call("POST", "/reembeddings", json={})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/reembeddings/{job['id']}")
    assert (job["kind"], job["from_model"], job["to_model"]) == ("reembedding", "model-a", NEW)
    job = ended(service, job)
    assert (job["status"], job["progress"]["fraction"], job["error"]) == ("succeeded", 1.0, None)
    assert (job["templates"], job["persons_left_behind"], job["unreadable_crops"]) == (2, 0, 0)
    info = service.call("GET", "/info").json()
    assert (info["model_id"], info["model_note"], info["keep_crops"]) == (NEW, None, True)
    found = service.photo("/identify", pictures.of("ann")).json()
    assert (found["person"]["id"], found["operating_point"]["model_id"]) == ("ann", NEW)
    assert service.call("GET", "/calibration").json()["model_id"] == NEW
    again = service.call("POST", "/reembeddings", json={})
    assert (again.status_code, again.json()["code"]) == (409, "already_served")


def test_who_would_be_left_behind_is_told_to_keys_that_may_know_and_left_only_when_that_is_said(
    service, pictures, enrolled
):
    enrolled("ann")
    refused = service.call("POST", "/reembeddings", json={"without_them": False})
    body = refused.json()
    assert (refused.status_code, body["code"], body["persons"], body["person_ids"]) == (
        409,
        "leaves_behind",
        1,
        ["ann"],
    )
    job = ended(service, service.call("POST", "/reembeddings", json={"without_them": True}).json())
    assert (job["status"], job["persons_left_behind"], job["without_them"]) == ("succeeded", 1, True)
    assert service.photo("/identify", pictures.of("ann")).json()["decision"] == "not_recognized"


def test_only_an_admin_may_and_other_fields_are_refused(service):
    key = service.key("persons:write", "calibrate")
    assert service.call("POST", "/reembeddings", json={}, key=key).status_code == 403
    assert service.call("POST", "/reembeddings", json={"model": "x"}).json()["field"] == "model"
    assert service.call("GET", "/reembeddings/job_1").json()["code"] == "unknown_job"
    assert service.call("POST", "/reembeddings/job_1/cancel").json()["code"] == "unknown_job"


def test_a_batch_is_no_reembedding(service, store, clock):
    from datetime import timedelta

    from app.domain.job import ENROLL_BATCH, Job

    with store.write() as uow:
        now = clock.now()
        uow.jobs.add(Job("job_9", ENROLL_BATCH, "local", "d", {}, 1, now, now + timedelta(days=1), 5))
        uow.commit()
    assert service.call("GET", "/reembeddings/job_9").status_code == 404
    assert service.call("GET", "/enroll/batch/job_9").status_code == 200


def test_one_that_waits_can_be_cancelled(make_service, settings, parts, pictures, monkeypatch):
    monkeypatch.setattr("app.worker.reembedding_work.ReembeddingWork.waits", lambda work: [])
    service = make_service(settings, parts=parts)
    service.photo("/enroll", pictures.of("ann"), name="Ann")
    job = service.call("POST", "/reembeddings", json={}).json()
    assert service.call("GET", "/info").json()["next_model_id"] == NEW
    job = service.call("POST", job["urls"]["cancel"]).json()
    assert job["status"] == "cancelled"
    assert service.call("GET", "/info").json()["next_model_id"] is None


def test_a_kept_crop_is_exported_and_erased_and_counted(service, pictures, store):
    image = pictures.of("ann")
    service.photo("/enroll", image, name="Ann", person_id="ann")
    body = service.call("GET", "/persons/ann/export").json()
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(body["templates"][0]["crop"]))))
    (face,) = pictures._reader.readings[image]
    np.testing.assert_array_equal(shown, face.crop)
    assert body["photos"] == 1
    assert base64.b64encode(face.crop.tobytes()).decode()[:40] not in service.log.getvalue()
    assert service.call("DELETE", "/persons/ann").json()["removed"]["crops"] == 1
    with store.read() as uow:
        assert uow.crops.count() == 0
