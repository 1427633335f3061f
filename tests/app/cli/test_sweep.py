import json
import shlex
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image

from app.cli import sweep
from app.cli.style_options import Asked
from app.cli.sweep import Axis, cells_of
from app.cli.sweep_sheet import GAP, sheet
from models.style.options import Options


@pytest.fixture
def asked(tmp_path: Path, samples: Path) -> Asked:
    for name in ("collins", "hopper"):
        with Image.open(samples / f"{name}.jpg") as photo:
            photo.thumbnail((160, 128))
            photo.save(tmp_path / f"{name}.png")
    return Asked(tmp_path / "collins.png", (tmp_path / "hopper.png",), tmp_path / "sheet.png", Options(size=128))


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def words(asked: Asked, *more: object) -> tuple[object, ...]:
    small = ("--size", 128, "--sweep-size", 64, "--sweep-steps", 2, "--threads", 1)
    return "style", asked.content, "--style", asked.styles[0], "--out", asked.out, *small, *more


def test_a_sweep_alone_draws_the_usual_grid_and_prints_a_command_for_each_cell(onelook, asked):
    result = onelook(*words(asked, "--sweep"))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-1] == f"drawn to {asked.out}"
    assert len(lines) == 2 * 6 + 1
    grid = [(factor, scale) for factor in ("x0.1", "x1", "x10") for scale in ("0.5", "1")]
    for line, (factor, scale) in zip(lines[:-1:2], grid, strict=True):
        assert line.endswith(f"({factor}), scale {scale}")
    commands = [shlex.split(line) for line in lines[1:-1:2]]
    assert all(command[:2] == ["onelook", "style"] for command in commands)
    assert [command[command.index("--out") + 1] for command in commands] == [
        str(asked.out.with_name(f"sheet-{number}.png")) for number in range(1, 7)
    ]
    with Image.open(asked.out) as drawn:
        assert drawn.size[0] == 2 * (64 + GAP) + GAP
        assert drawn.size[1] > 3 * (60 + GAP)


def test_the_printed_command_renders_at_full_size(onelook, asked):
    result = onelook(*words(asked, "--sweep", "init=content,noise", "--steps", 2))
    assert result.exit_code == 0, result.output
    command = shlex.split(result.stdout.splitlines()[3])[1:]
    assert onelook(*command).exit_code == 0
    with Image.open(asked.out.with_name("sheet-2.png")) as render:
        assert max(render.size) == 128


def test_a_sweep_tells_its_cells_as_one_line_of_json(onelook, asked):
    result = onelook(*words(asked, "--sweep", "tv=0,1e3", "--json"))
    assert result.stdout.count("\n") == 1
    cells = json.loads(result.stdout)["cells"]
    assert [cell["options"]["tv"] for cell in cells] == [0.0, 1e3]
    assert [cell["options"]["size"] for cell in cells] == [64, 64]
    assert all(cell["losses"]["total"] > 0 for cell in cells)


@pytest.mark.parametrize(("convention", "share"), [("gatys2015", 0.25), ("gatys_pytorch", 1.0), ("johnson", 1.0)])
def test_a_small_render_has_the_beta_that_foretells_the_large_one(asked, convention, share):
    options = Options(size=128, loss_convention=convention)
    asked = Asked(asked.content, asked.styles, asked.out, options)
    for cell, beta in zip(cells_of(asked, [Axis.of("beta=1e2,3e3")], 64, 5), (1e2, 3e3), strict=True):
        assert cell.full.beta == beta
        assert cell.small.beta == pytest.approx(share * beta, rel=0.02)
        assert (cell.small.size, cell.small.steps) == (64, 5)


def test_a_factor_multiplies_what_would_have_been(asked):
    usual, more = cells_of(asked, [Axis.of("beta=x1,x10")], 64, 5)
    assert usual.full.beta is not None
    assert more.full.beta == 10 * usual.full.beta
    assert "(x10)" in more.caption
    own = Asked(asked.content, asked.styles, asked.out, Options(size=128, beta=7.0))
    assert [cell.full.beta for cell in cells_of(own, [Axis.of("beta=x1,x2")], 64, 5)] == [7.0, 14.0]


def test_a_factor_of_beta_follows_the_convention_of_its_cell(asked):
    axes = [Axis.of("beta=x2"), Axis.of("convention=gatys_pytorch,johnson")]
    assert [cell.full.beta for cell in cells_of(asked, axes, 64, 5)] == [2e3, 40.0]


def test_an_axis_of_steps_is_taken_literally(asked):
    assert [cell.small.steps for cell in cells_of(asked, [Axis.of("steps=3,200")], 64, 5)] == [3, 200]


def test_the_scale_is_that_of_all_styles(asked):
    two = Asked(asked.content, asked.styles * 2, asked.out, asked.options)
    (cell,) = cells_of(two, [Axis.of("scale=0.5")], 64, 5)
    assert cell.full.style_scales == (0.5, 0.5)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (["size=64,128"], "there is alpha, beta,"),
        (["nothing=1"], "there is alpha, beta,"),
        (["beta="], "give values"),
        (["beta=many"], "many is no number"),
        (["init=black"], "--init: init is one of content, noise"),
        (["tv=-1"], "--tv: tv is a number from"),
        (["tv=0", "tv=1"], "different settings"),
        (["tv=0", "seed=1", "alpha=1"], "different settings"),
        (["seed=" + ",".join(map(str, range(37)))], "36 renders at most"),
        (["steps=1.5"], "--steps: steps is a whole number"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_sentence(onelook, asked, said, says):
    result = onelook(*words(asked, *(word for one in said for word in ("--sweep", one))))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert says in result.stderr
    assert not asked.out.exists()


def test_only_pictures_are_swept(asked, monkeypatch, capsys):
    class Sound:
        medium = "sound"

    monkeypatch.setattr(sweep, "planned", lambda asked, options: Sound())
    with pytest.raises(typer.Exit) as refused:
        sweep.draw_sweep(asked, ["auto"], 64, 2, json_line=False)
    assert refused.value.exit_code == 1
    assert "pictures only, and this is a render of sound" in capsys.readouterr().err


def test_captions_are_broken_where_they_are_too_wide():
    pictures = [Image.new("RGB", (64, 40), color) for color in ("red", "blue", "green")]
    drawn = sheet(pictures, ["1: short", "2: a caption of many words, far wider than that", "3"], 2)
    assert drawn.size[0] == 2 * (64 + GAP) + GAP
    assert drawn.size[1] > 2 * (40 + GAP) + 4 * 9
    assert drawn.getpixel((GAP, GAP)) == (255, 0, 0)
    assert drawn.getpixel((2 * GAP + 64, GAP)) == (0, 0, 255)
