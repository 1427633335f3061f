from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import Result

from models.style import perceptual

Onelook = Callable[..., Result]


def own_tensors() -> dict[str, torch.Tensor]:
    """Of random filters."""
    convolutions = perceptual.random().convolutions
    return {
        f"{name}.{part}": getattr(one, part).data.contiguous()
        for name, one in convolutions.items()
        for part in ("weight", "bias")
    }


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ONELOOK_PRECISION", "float32")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(samples: Path, tmp_path: Path) -> Path:
    """Three small photos, and a file that is no picture."""
    made = tmp_path / "pictures"
    made.mkdir()
    for name in ("hopper", "collins", "obama-2009"):
        with Image.open(samples / f"{name}.jpg") as photo:
            photo.thumbnail((160, 160))
            photo.save(made / f"{name}.png")
    (made / "notes.txt").write_text("no picture")
    return made


def test_draws_a_row_for_each_unit_asked_for(onelook: Onelook, folder: Path, tmp_path: Path) -> None:
    out, units = tmp_path / "sheet.png", ("--unit", "conv3_1:17", "--unit", "conv1_1:10")
    result = onelook("layers", "--image", folder, "--out", out, "--size", 96, "--steps", 1, *units)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("conv3_1:17 sees 24 px, peak ")
    assert lines[1].startswith("conv1_1:10 sees 3 px, peak ")
    assert lines[1].endswith(", 6 patches"), "two of each of three pictures"
    with Image.open(out) as sheet:
        assert sheet.width > sheet.height


def test_draws_what_excites_the_face_encoder(onelook: Onelook, samples: Path, tmp_path: Path) -> None:
    out, photo = tmp_path / "sheet.jpg", samples / "hopper.jpg"
    words = ("--face", "--model", "sface", "--unit", "trunk.8:3", "--steps", 1)
    result = onelook("layers", "--image", photo, "--out", out, *words)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("trunk.8:3 sees ")
    assert out.stat().st_size > 0


def test_tells_and_draws_which_units_carry_the_style_cost(onelook: Onelook, folder: Path, tmp_path: Path) -> None:
    out, pictures = tmp_path / "sheet.png", ("--image", folder / "hopper.png", "--style", folder / "collins.png")
    result = onelook("layers", "--costs", "--size", 64, "--each", 1, "--out", out, *pictures)
    assert result.exit_code == 0, result.output
    first, *layers, last = result.output.splitlines()
    assert last == f"drawn to {out}"
    with Image.open(out) as sheet:
        assert sheet.height > 5 * 72
    assert first.startswith("J_style ")
    assert [line.split()[0] for line in layers] == ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
    shares = [float(line.split()[1].rstrip("%")) for line in layers]
    assert 99 < sum(shares) < 101


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--unit", "conv9_9:1"), "conv1_1 to conv5_4"),
        (("--unit", "conv1_1:64"), "conv1_1:0 to conv1_1:63"),
        (("--costs",), "--style STYLE"),
        (("--out", "sheet.docx"), "no known format"),
        (("--out", "nowhere/sheet.png"), "no such folder"),
        (("--face", "--weights", "pyproject.toml"), "another network"),
    ],
)
def test_what_cannot_be_drawn_is_said(onelook: Onelook, folder: Path, words: tuple[str, ...], says: str) -> None:
    result = onelook("layers", "--image", folder, *words)
    assert result.exit_code == 2
    assert says in result.output


def test_a_folder_without_pictures_or_faces_is_told(onelook: Onelook, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = onelook("layers", "--image", tmp_path / "empty")
    assert empty.exit_code == 2
    assert "holds no pictures" in empty.output
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    wall = onelook("layers", "--face", "--image", tmp_path / "wall.png", "--out", tmp_path / "sheet.png")
    assert wall.exit_code == 1
    assert "no face was found" in wall.output


def test_the_sheet_never_takes_the_place_of_a_picture(onelook: Onelook, folder: Path) -> None:
    result = onelook("layers", "--image", folder, "--out", folder / "hopper.png")
    assert result.exit_code == 2
    assert "give another file" in result.output
    pictures = ("--image", folder / "hopper.png", "--style", folder / "collins.png")
    result = onelook("layers", "--costs", "--out", folder / "collins.png", *pictures)
    assert result.exit_code == 2
    assert "give another file" in result.output


def test_a_network_of_ones_own_is_looked_at(onelook: Onelook, folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    save_file(own_tensors(), weights)
    words = ("--weights", weights, "--unit", "conv1_1:0", "--steps", 0, "--size", 64, "--out", tmp_path / "sheet.png")
    result = onelook("layers", "--image", folder, *words)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("conv1_1:0 sees 3 px")
