import dataclasses

import pytest

from app.domain.model import Served
from app.inference.calibration import following

NEW = "model-b"


@pytest.fixture
def home_of_another_model(parts, calibration, reader, store, monkeypatch):
    """The verbs work on a home that is served by `model-a`, whose settings make `model-b`."""
    with store.write() as uow:
        uow.models.serve(Served("model-a"))
        uow.commit()
    points = {
        kind: tuple(dataclasses.replace(point, model_id=NEW) for point in getattr(calibration, kind))
        for kind in ("verification", "identification")
    }
    known = {"model-a": calibration, NEW: dataclasses.replace(calibration, model_id=NEW, **points)}
    live = following(lambda: known[reader.model_id])
    made = dataclasses.replace(parts, calibration=live, wanted_model_id=NEW)
    monkeypatch.setattr("app.assembly.parts.build_parts", lambda settings: made)
    return made


@pytest.fixture
def keeping(enroll, pictures):
    """Enrols somebody whose crop is kept."""
    from app.actions.enroll import Enrolment

    def enrol(who):
        dataclasses.replace(enroll, keep_crops=True)(pictures.of(who), Enrolment(who.title(), who))

    return enrol


def served(store):
    with store.read() as uow:
        return uow.models.served()


def test_embeds_everybody_and_cuts_over(onelook, home_of_another_model, keeping, store):
    for who in ("ann", "bob"):
        keeping(who)
    answer = onelook("reembed")
    assert answer.exit_code == 0, answer.output
    assert "model-b is served now: 2 templates, 0 left behind" in answer.stdout
    assert "model-a is served until model-b is ready" in answer.stderr
    assert served(store) == Served(NEW)
    answer = onelook("reembed")
    assert (answer.exit_code, "there is nothing to do" in answer.stdout) == (0, True)


def test_lists_who_has_no_crop_first_and_leaves_them_only_when_told(
    onelook, home_of_another_model, keeping, enrolled, store
):
    keeping("ann")
    enrolled("bob")
    listed = onelook("reembed", "--list")
    assert listed.exit_code == 0
    assert "bob  Bob" in listed.stdout
    assert "ann" not in listed.stdout
    refused = onelook("reembed")
    assert refused.exit_code == 1
    assert "bob  Bob" in refused.stdout
    assert "--without-them" in refused.stderr
    assert served(store) == Served("model-a")
    answer = onelook("reembed", "--without-them")
    assert answer.exit_code == 0
    assert "1 templates, 1 left behind" in answer.stdout


def test_waits_for_a_service_that_was_faster_and_tells_how_it_ended(
    onelook, home_of_another_model, keeping, store, monkeypatch
):
    keeping("ann")

    def taken(claim, among):
        with store.write() as uow:
            job = uow.jobs.get(among[0])
            uow.jobs.end(job.id, "cancelled", token=None, at=job.created_at, expires_at=job.expires_at)
            uow.commit()

    monkeypatch.setattr("app.actions.jobs.ClaimJob.__call__", taken)
    answer = onelook("reembed")
    assert (answer.exit_code, "it was cancelled" in answer.stderr) == (1, True)


def test_all_crops_can_be_deleted(onelook, home, pictures):
    from app.cli.home import open_rows
    from app.clock import SystemClock
    from app.domain.person import Person, Template
    from app.settings import Settings

    settings, now, face = Settings(home=home), SystemClock().now(), pictures.face("ada")
    with open_rows(settings) as store, store.write() as uow:
        uow.people.add(Person("ada", "Ada", now, now))
        uow.templates.add(Template("tpl_1", "ada", "model", face.quality, now, face.embedding))
        uow.crops.keep("tpl_1", face.crop)
        uow.commit()
    answer = onelook("reembed", "--forget-crops")
    assert (answer.exit_code, answer.stdout) == (0, "1 crops deleted\n")
    with open_rows(settings) as store, store.read() as uow:
        assert uow.crops.count() == 0
        assert uow.audit.lines(0, 9)[-1].action == "crops.forgotten"
