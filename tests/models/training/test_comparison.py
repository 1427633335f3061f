import dataclasses
import json

import pytest

from models.training.comparison import Learnt, Look, learn, learnt, looks_in, runs_of
from models.training.loop import Course
from models.training.objective import LOSSES, Recipe
from models.training.train import Prepared

COURSE = Course(steps=2, people=2, photos=2, warm_up=1, validate_every=1, seed=5)


@pytest.fixture
def prepared(faces):
    return Prepared(faces, faces, dropped=0, refined=True)


@pytest.fixture
def run():
    return next(one for one in runs_of(COURSE, 9) if one.name == "siamese, hard")


def test_every_loss_is_compared_and_every_loss_on_squares_or_pairs_with_mining_on_and_off():
    runs = runs_of(COURSE, 9)
    ways = {loss: {run.recipe.mining for run in runs if run.recipe.loss == loss} for loss in LOSSES}
    assert all("random" in mined and "hard" in mined for loss, mined in ways.items() if loss != "triplet-unsquared")
    assert "semi-hard" in ways["triplet"] & ways["triplet-unsquared"]


def test_only_the_loss_and_its_mining_differ():
    *same, taught, fresh = runs_of(COURSE, 9)
    assert {(run.course, run.init) for run in [*same, taught]} == {(COURSE, "weights")}
    assert {(r.of_identity, r.of_degraded, r.of_clean) for r in (run.recipe for run in [*same, fresh])} == {(1.0, 0, 0)}
    assert taught.recipe == Recipe()
    changed = {"steps": 9, "rate": fresh.course.rate}
    assert (fresh.init, fresh.course) == ("scratch", dataclasses.replace(COURSE, **changed))


def test_no_two_runs_share_a_name_or_a_folder(tmp_path):
    runs = runs_of(COURSE, 9)
    assert len({run.name for run in runs}) == len({run.folder(tmp_path) for run in runs}) == len(runs)
    assert all(run.folder(tmp_path).parent == tmp_path for run in runs)


def test_a_look_tells_the_means_since_the_look_before():
    lines = [{"step": 0, "validated": {"clean": 0.8, "degraded": 0.6}}]
    for step in range(1, 6):
        seen = {"clean": step / 10, "degraded": step / 20} if step in (3, 5) else None
        lines.append({"step": step, "identity": float(step), "active": step / 10, "validated": seen})
    first, second, third = looks_in(lines)
    assert first == Look(0, 0.8, 0.6)
    assert (second.step, second.clean, second.loss) == (3, 0.3, (1 + 2 + 3) / 3)
    assert (third.loss, third.active) == ((4 + 5) / 2, pytest.approx((0.4 + 0.5) / 2))


def test_a_run_that_is_over_is_read_and_not_run_again(run, prepared, tmp_path):
    assert learnt(run, tmp_path, prepared) is None
    steps = []
    done = learn(run, tmp_path, prepared, tell=lambda progress: steps.append(progress.step))
    assert steps == [0, 1, 2]
    assert [look.step for look in done.looks] == [0, 1, 2]
    assert done.seconds > 0 < done.images_per_s
    again = learn(run, tmp_path, prepared, tell=lambda progress: steps.append(progress.step))
    assert steps == [0, 1, 2]
    assert again == learnt(run, tmp_path, prepared) == done
    assert not (run.folder(tmp_path) / "checkpoint.pt").exists()
    assert (run.folder(tmp_path) / "weights.safetensors").exists()


def test_a_run_that_was_stopped_goes_on_to_the_same_curve(run, prepared, tmp_path):
    class Stopped(Exception):
        pass

    def stop(progress):
        if progress.step == 1:
            raise Stopped

    with pytest.raises(Stopped):
        learn(run, tmp_path / "halves", prepared, tell=stop)
    assert learnt(run, tmp_path / "halves", prepared) is None
    steps = []
    halved = learn(run, tmp_path / "halves", prepared, tell=lambda progress: steps.append(progress.step))
    assert steps == [2]
    assert halved.looks == learn(run, tmp_path / "whole", prepared).looks


def test_a_curve_of_other_settings_or_photos_is_refused(run, prepared, tmp_path):
    file = run.folder(tmp_path) / "curve.json"
    file.parent.mkdir(parents=True)
    held = {
        "recipe": dataclasses.asdict(run.recipe),
        "course": dataclasses.asdict(run.course),
        "init": "weights",
        "photos": [12, 12],
    }
    file.write_text(json.dumps({"made_of": held, "looks": [], "seconds": 1.0, "images_per_s": 2.0}))
    assert learnt(run, tmp_path, prepared) == Learnt(run, (), 1.0, 2.0)
    fewer = dataclasses.replace(prepared, train=prepared.train.only(prepared.train.person() < 3))
    other = dataclasses.replace(run, course=dataclasses.replace(COURSE, seed=6))
    for changed in ((other, prepared), (run, fewer)):
        with pytest.raises(ValueError, match="other settings"):
            learnt(changed[0], tmp_path, changed[1])
