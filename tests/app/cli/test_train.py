import json
from pathlib import Path

from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from app.cli import app

SAMPLES = Path(__file__).parents[3] / "samples"
COURSE = ("--steps", "1", "--people", "2", "--photos", "2", "--validate-every", "1", "--precision", "float32")


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_folder_of_identities_becomes_weights_that_say_how_they_were_made(people, tmp_path):
    done = run("train", "--data", people, "--out", tmp_path / "run", *COURSE)
    assert done.exit_code == 0, done.output
    weights = tmp_path / "run" / "weights.safetensors"
    assert str(weights) in done.output
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1]
    with safe_open(weights, "pt") as file:
        made_by = json.loads(file.metadata()["made_by"])
    assert made_by["recipe"]["loss"] == "triplet"
    assert made_by["course"]["steps"] == 1
    half = run("blend", weights, "--share", "0.5", "--out", tmp_path / "half.safetensors")
    assert half.exit_code == 0, half.output
    with safe_open(tmp_path / "half.safetensors", "pt") as file:
        assert json.loads(file.metadata()["made_by"])["share"] == 0.5


def test_a_batch_that_cannot_be_filled_is_refused_with_the_way_out(people, tmp_path):
    refused = run("train", "--data", people, "--out", tmp_path, "--steps", "1", "--people", "9")
    assert refused.exit_code != 0
    assert "fewer people in a batch" in " ".join(refused.output.split())


def test_every_augmentation_is_on_the_sheet(tmp_path):
    done = run("augmentations", SAMPLES / "collins.jpg", "--draw", tmp_path / "sheet.png", "--columns", "2")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (120 + 2 * 144, 12 * 144)
