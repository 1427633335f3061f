import dataclasses

import pytest
import torch

from models import weights
from models.training.loop import Course, Training
from models.training.objective import Recipe
from models.training.student import fine_tuned
from models.training.validation import Validation

COURSE = Course(steps=4, people=2, photos=2, warm_up=1, validate_every=2, seed=5)


def training(faces, folder, course=COURSE, recipe=None, **others):
    network = fine_tuned(weights.load_encoder("sface"))
    return Training(network, faces, Validation.of(faces, 1), folder, recipe or Recipe(), course, **others)


def same(first, second):
    return all(torch.equal(first.average[name], second.average[name]) for name in first.average)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(faces, tmp_path):
    whole = training(faces, tmp_path / "whole")
    whole.run()

    class Stopped(Exception):
        pass

    def stop(progress):
        if progress.step == 3:
            raise Stopped

    halved = training(faces, tmp_path / "halves")
    with pytest.raises(Stopped):
        halved.run(stop)
    again = training(faces, tmp_path / "halves")
    assert again.step == 2  # the last checkpoint
    again.run()
    assert same(whole, again)
    assert [line.get("loss") for line in whole.history] == [line.get("loss") for line in again.history]
    assert [line["step"] for line in again.history] == [0, 1, 2, 3, 4]


def test_what_is_learnt_is_seen_in_the_loss(faces, tmp_path):
    course = dataclasses.replace(COURSE, steps=12, validate_every=12, rate=1e-3, average=0.5)
    run = training(faces, tmp_path, course, Recipe(of_identity=1.0, of_degraded=0.0, of_clean=0.0, alpha=1.0))
    run.run()
    losses = [line["loss"] for line in run.history[1:]]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert run.history[-1]["validated"].keys() == {"clean", "degraded"}


def test_another_recipe_does_not_go_on_with_what_is_there(faces, tmp_path):
    run = training(faces, tmp_path, dataclasses.replace(COURSE, steps=2))
    run.run()
    with pytest.raises(ValueError, match="other settings"):
        training(faces, tmp_path, dataclasses.replace(COURSE, steps=2, seed=6))
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="cannot be read"):
        training(faces, tmp_path, dataclasses.replace(COURSE, steps=2))


def test_an_error_while_views_are_made_reaches_the_caller(faces, tmp_path):
    broken = dataclasses.replace(faces, canvases=faces.canvases[:3])
    run = training(faces, tmp_path)
    run.faces = broken
    with pytest.raises(IndexError):
        run.run()
