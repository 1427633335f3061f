import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from app.cli import contenders
from app.cli.contenders import Contender
from models import weights
from models.measure.identities import is_enrolled

Onelook = Callable[..., Result]


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONELOOK_PRECISION", "float32")
    monkeypatch.chdir(tmp_path)


def figures(file: Path, model: int, section: str) -> dict[str, dict]:  # type: ignore[type-arg]
    (columns,) = json.loads(file.read_text()).values()
    return {f["measure"]: f for f in columns[model]["figures"] if f["section"] == section}


def test_the_sample_people_split_into_enrolled_and_strangers() -> None:
    assert sum(map(is_enrolled, ("Barack_Obama", "Eileen_Collins"))) == 1
    assert is_enrolled("Grace_Hopper")


def test_a_folder_is_measured_under_a_shipped_encoder_and_under_a_file(onelook: Onelook, sample_people: Path) -> None:
    shutil.copy(weights.FOLDER / "sface.safetensors", "mine.safetensors")
    Image.new("RGB", (200, 200), "grey").save(sample_people / "Grace_Hopper" / "wall.png")
    words = ("evaluate", "folder", sample_people, "--model", "sface", "--model", "mine.safetensors")
    result = onelook(*words, "--json", "out/figures.json")
    assert result.exit_code == 0, result.output
    file = Path("out/figures.json")
    for model in (0, 1):
        photos = figures(file, model, "photos")
        assert (photos["without a face"]["count"], photos["without a face"]["of"]) == (1, 6)
        answers = figures(file, model, "open set")
        # Grace Hopper's second photo is a wall, and so a miss.
        assert (answers["rank-1"]["count"], answers["rank-1"]["of"]) == (1, 2)
        assert answers["FNIR at FPIR 0.01"]["value"] == 0.5
    (columns,) = json.loads(file.read_text()).values()
    assert [column["title"] for column in columns] == ["sface", "mine"]
    assert columns[0]["model_id"] != columns[1]["model_id"]
    assert "+0.00" in result.output  # the same weights under another name change nothing

    again = onelook(*words)
    assert "6 photos, 6 of them read before" in again.output


def test_a_photo_that_was_replaced_is_read_again(onelook: Onelook, sample_people: Path, samples: Path) -> None:
    words = ("evaluate", "folder", sample_people)
    assert onelook(*words).exit_code == 0
    (sample_people / "Grace_Hopper" / "Grace_Hopper_0001.jpg").write_bytes((samples / "collins.jpg").read_bytes())
    result = onelook(*words, "--json", "figures.json")
    assert "5 photos, 4 of them read before" in result.output
    # The stranger now is the very picture of somebody enrolled, or of the other stranger.
    pairs = figures(Path("figures.json"), 0, "all pairs, people alike")
    assert pairs["TMR at FMR 0.01"]["value"] < 1


def test_lfw_is_measured_under_any_weights(onelook: Onelook, sample_people: Path) -> None:
    result = onelook("evaluate", "lfw", "--data", sample_people, "--model", "sface", "--json", "lfw.json")
    assert result.exit_code == 0, result.output
    accuracy = figures(Path("lfw.json"), 0, "View 2")["accuracy"]
    assert (accuracy["count"], accuracy["of"]) == (4, 4)
    assert "TMR at FMR 1e-06" in figures(Path("lfw.json"), 0, "all pairs, people alike")
    assert "batch 8" in result.output


def test_curves_are_drawn_for_several_models(onelook: Onelook, sample_people: Path) -> None:
    pytest.importorskip("matplotlib", reason="NO MATPLOTLIB: pip install '.[bench]'")
    result = onelook("evaluate", "folder", sample_people, "--plots", "plots")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("plots").iterdir()) == ["people-det.png", "people-roc.png"]
    assert all(path.stat().st_size > 5000 for path in Path("plots").iterdir())


def test_what_is_no_encoder_is_refused(onelook: Onelook, sample_people: Path) -> None:
    nothing = onelook("evaluate", "folder", sample_people, "--model", "nothing")
    assert nothing.exit_code == 2
    assert f"neither an encoder that is here ({', '.join(weights.encoders())})" in nothing.output
    shutil.copy(weights.FOLDER / "yunet.safetensors", "detector.safetensors")
    other = onelook("evaluate", "folder", sample_people, "--model", "detector.safetensors")
    assert other.exit_code == 1
    assert "holds no weights of this network" in other.output


def test_a_list_that_leaves_too_few_people_is_refused(onelook: Onelook, sample_people: Path) -> None:
    Path("who.txt").write_text("Grace_Hopper\n")
    result = onelook("evaluate", "folder", sample_people, "--identities", "who.txt")
    assert result.exit_code == 2
    assert "too few for an open set" in result.output
    Path("who.txt").write_text("Nobody\n")
    assert (
        "no photos of those identities"
        in onelook("evaluate", "folder", sample_people, "--identities", "who.txt").output
    )


def test_two_files_of_one_name_are_told_apart_by_their_content(tmp_path: Path) -> None:
    from app.settings import Settings

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(weights.FOLDER / "sface.safetensors", tmp_path / folder / "mine.safetensors")
    names = [str(tmp_path / folder / "mine.safetensors") for folder in ("a", "b")]
    found: list[Contender] = contenders.contenders(names, Settings.read())
    assert found[0].title == "mine"
    assert found[1].title == found[1].model_id
    assert {one.precision for one in found} == {"float32"}
