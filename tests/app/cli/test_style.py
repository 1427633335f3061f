import inspect
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import Result

from app.cli.style import style
from app.cli.style_options import FLAGS, Asked, flag_of, options_of
from models.style.options import CHOICES, Options
from models.style.render import facts_of

Onelook = Callable[..., Result]
SIDE = 72


@dataclass(frozen=True)
class Files:
    """A folder with two small pictures, and the words that render one in the style of the other."""

    folder: Path

    @property
    def content(self) -> Path:
        return self.folder / "content.png"

    @property
    def style(self) -> Path:
        return self.folder / "style.png"

    @property
    def out(self) -> Path:
        return self.folder / "out.png"

    def words(self, *more: object) -> tuple[object, ...]:
        own = ("style", self.content, "--style", self.style, "--out", self.out, "--size", SIDE, "--threads", 1)
        return *own, *more


@pytest.fixture
def files(tmp_path: Path, samples: Path) -> Files:
    made = Files(tmp_path)
    for name, path in (("collins", made.content), ("hopper", made.style)):
        with Image.open(samples / f"{name}.jpg") as photo:
            photo.thumbnail((96, 96))
            photo.save(path)
    return made


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_renders_a_picture_in_the_style_of_another(onelook, files):
    result = onelook(*files.words("--steps", 6))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"rendered to {files.out}\n"
    assert pixels(files.out).shape == (SIDE, SIDE, 3)
    assert "scale 1/1  step 6/6  content " in result.stderr
    assert sorted(path.name for path in files.folder.iterdir()) == ["content.png", "out.png", "style.png"]


def test_tells_the_facts_as_one_line_of_json(onelook, files):
    result = onelook(*files.words("--steps", 3, "--optimizer", "adam", "--json"))
    assert result.stdout.count("\n") == 1
    facts = json.loads(result.stdout)
    assert (facts["finished"], facts["step"], facts["evaluations"], facts["width"]) == (True, 3, 3, SIDE)
    assert facts["losses"]["total"] > facts["losses"]["content"] > 0
    assert set(facts["losses"]["per_layer"]) == {f"conv{block}_1" for block in range(1, 6)}
    assert facts["seconds"] > 0
    assert facts["engine"]["loss_convention"] == facts["options"]["loss_convention"] == "gatys2015"
    assert (facts["out"], facts["state"]) == (str(files.out), None)


def test_what_lies_at_out_is_overwritten(onelook, files):
    files.out.write_text("something else")
    assert onelook(*files.words("--steps", 1)).exit_code == 0
    assert pixels(files.out).shape == (SIDE, SIDE, 3)


def test_every_option_of_the_engine_is_a_flag_with_its_default_and_choices(onelook):
    told = inspect.signature(style).parameters
    text = onelook("style", "--help").stdout
    for option in fields(Options):
        if option.name == "extra":
            continue
        assert told[option.name].default in (option.default, []), option.name
        assert f"  {flag_of(option.name)} " in text
        assert all(choice in text for choice in CHOICES.get(option.name, ()))
    assert set(FLAGS) <= set(told)


def test_flags_become_options_and_options_flags_again(files):
    given = {
        **{option.name: option.default for option in fields(Options) if option.name != "extra"},
        "style_weights": [1.0, 2.0],
        "style_scales": [],
        "layers": ["conv3_1=0.5", "conv1_1=2"],
        "masks": [str(files.style), "none"],
        "beta": 250.5,
        "init": "noise",
        "seed": 7,
    }
    options = options_of(given)
    assert options.masks == (files.style.read_bytes(), None)
    assert options.layers == {"conv3_1": 0.5, "conv1_1": 2.0}
    asked = Asked(files.content, (files.style, files.style), files.out, options, (str(files.style), "none"), threads=2)
    words = shlex.split(asked.command(files.out, options))
    assert words[:3] == ["onelook", "style", str(files.content)]
    assert shlex.join(words).endswith(
        "--beta 250.5 --weight 1 --weight 2 --layer conv3_1=0.5 --layer conv1_1=2 --init noise --seed 7 "
        f"--mask {files.style} --mask none --threads 2"
    )


def test_a_mask_keeps_a_style_to_its_place(onelook, files):
    mask = Image.new("L", (96, 96))
    mask.paste(255, (48, 0, 96, 96))
    mask.save(files.folder / "mask.png")
    result = onelook(*files.words("--steps", 8, "--mask", files.folder / "mask.png", "--alpha", 0))
    assert result.exit_code == 0, result.output
    with Image.open(files.content) as picture:
        content = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(int)
    moved = np.abs(pixels(files.out) - content).mean(axis=(0, 2))
    assert moved[: SIDE // 4].mean() < 0.3 * moved[-SIDE // 4 :].mean()


def test_a_preview_lies_beside_while_it_renders_and_goes_with_its_end(onelook, files, monkeypatch):
    seen = []
    plain = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **more: (seen.append(path.name), plain(path, **more)))
    assert onelook(*files.words("--steps", 2, "--preview-every", 0)).exit_code == 0
    assert seen == ["out.png.preview.jpg"]
    assert not (files.folder / "out.png.preview.jpg").exists()


def test_ctrl_c_keeps_what_there_is_and_resume_ends_as_if_nothing_had_happened(onelook, files, start, monkeypatch):
    process = start(*files.words("--steps", 24, "--preview-every", 0))
    _wait_for(files.folder / "out.png.preview.jpg", process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert pixels(files.out).shape == (SIDE, SIDE, 3)
    last = told.splitlines()[-1]
    assert last.startswith("onelook: stopped after step ")
    words = shlex.split(last.split("to go on: onelook ")[1])
    assert words[-2:] == ["--resume", f"{files.out}.state"]
    # Each process measures which precision is faster; a state keeps to its own.
    precision = facts_of(Path(words[-1]).read_bytes())["precision"]
    result = onelook(*words)
    assert result.exit_code == 0, result.output
    monkeypatch.setattr("models.style.plan.fastest", lambda device: precision)
    whole = files.folder / "whole.png"
    assert onelook(*files.words("--steps", 24, "--out", whole)).exit_code == 0
    assert (pixels(files.out) == pixels(whole)).all()


def test_a_finished_render_goes_on_with_more_steps(onelook, files):
    assert onelook(*files.words("--steps", 4, "--keep-state")).exit_code == 0
    state = f"{files.out}.state"
    nothing = onelook(*files.words("--resume", state))
    assert nothing.exit_code == 2
    assert "has taken its 4 steps already: add some with --steps" in nothing.output
    fewer = onelook(*files.words("--resume", state, "--steps", 3))
    assert (fewer.exit_code, "as many at least" in fewer.output) == (2, True)
    more = onelook(*files.words("--resume", state, "--steps", 7, "--json", "--keep-state"))
    assert more.exit_code == 0, more.output
    assert [json.loads(more.stdout)[name] for name in ("step", "steps")] == [7, 7]
    again = onelook(*files.words("--resume", state, "--steps", 8, "--json"))
    assert [json.loads(again.stdout)[name] for name in ("step", "steps")] == [8, 8]


def test_a_state_of_other_input_is_refused_in_a_sentence(onelook, files):
    assert onelook(*files.words("--steps", 2, "--keep-state")).exit_code == 0
    state = f"{files.out}.state"
    before = files.out.read_bytes()
    other = onelook(*files.words("--resume", state, "--tv", 3))
    assert (other.exit_code, other.stderr.count("\n")) == (2, 1)
    assert "of other files, options or weights" in other.stderr
    none = onelook(*files.words("--resume", files.style))
    assert (none.exit_code, none.stderr.count("\n")) == (2, 1)
    assert "no state of a render" in none.stderr
    assert files.out.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        (("--out", "{}/out.jpg"), 2, "out.jpg: the result is image/png; end its name in .png"),
        (("--out", "{}/nowhere/out.png"), 2, "there is no folder"),
        (("--out", "{}/style.png"), 2, "names one of the files that are read"),
        (("--style", "{}/bad.png"), 1, "bad.png: The file is none of JPEG, PNG"),
        (("--mask", "{}/bad.png"), 1, "bad.png: The file is none of"),
        (("--mask", "{}/nothing.png"), 1, "nothing.png: No such file"),
        (("--weight", "1", "--weight", "2"), 2, "--weight: style_weights has 2 entries for 1 styles"),
        (("--weight", "0"), 2, "--weight: style_weights is a number from"),
        (("--layer", "conv3_1"), 2, "give a layer and its weight"),
        (("--layer", "conv9_1=1"), 2, "--layer: VGG-19 has no layer conv9_1"),
        (("--alpha", "0", "--beta", "0"), 2, "nothing would be wanted"),
        (("--size", "4096", "--memory", "950"), 1, "does not fit into 950 MiB"),
        (("--weights", "{}/bad.png"), 1, "cannot be read as weights"),
        (("--sweep", "--preview-every", "1"), 2, "--sweep draws a sheet"),
    ],
)
def test_what_cannot_be_is_one_sentence(onelook, files, more, status, says):
    (files.folder / "bad.png").write_text("no picture")
    result = onelook(*files.words(*(word.format(files.folder) for word in more)))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (status, "", 1), result.output
    assert says in result.stderr
    assert not files.out.exists()


@pytest.mark.parametrize("more", [("--steps", 0), ("--init", "black"), ("--beta", "nan"), ("--size", "large")])
def test_what_no_option_can_be_is_a_mistake_of_usage(onelook, files, more):
    result = onelook(*files.words(*more))
    assert result.exit_code == 2
    assert f"'{more[0]}'" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NO TERMINALS")
def test_a_terminal_sees_one_line_that_moves(files, root):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "app.cli", *map(str, files.words("--steps", 5))]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    text = seen.decode()
    assert "scale 1/1" in text
    assert "5/5" in text
    assert "evaluations/s" in text
    assert "left\r\n" in text.replace(" ", "")
    assert text.count("\n") == 2  # the line that moved, and where the render lies


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.005)
