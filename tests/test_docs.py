"""Documents are held to the code: what exists is explained, links lead somewhere, and nothing private is told."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import typer.main

import app.cli
from app.routes import access, problems
from app.settings import PREFIX, Settings

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
# In pieces, so that this file does not hold what it looks for.
MACHINE = re.compile(
    r"(?<![\w.~-])/(?:" + "|".join(["wo" + "rk", "ho" + "me", "Us" + "ers", "ro" + "ot", "tm" + "p/w"]) + r")/"
)
UNFINISHED = re.compile(r"\b(?:" + "TO" + "DO|FIX" + "ME)\\b")


@pytest.fixture(scope="module")
def explained(root: Path) -> str:
    """Everything that is written for people."""
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="module")
def setting_rows(root: Path) -> list[list[str]]:
    text = (root / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(f"| `{PREFIX}")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, str]:
    """Every text file that is, or is about to be, in the repository: by path."""
    if not (root / ".git").exists():
        pytest.skip("NOT A CLONE: which files belong to the repository is not known")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    return dict(_read(root, listed.stdout.decode().split("\0")))


def test_every_setting_has_a_row_in_the_order_of_the_code(setting_rows):
    assert [row[0] for row in setting_rows] == [f"`{PREFIX}{name.upper()}`" for name in Settings.model_fields]


def test_every_default_is_the_one_of_the_code(setting_rows):
    told = {row[0]: row[1] for row in setting_rows}
    assert told == {
        f"`{PREFIX}{name.upper()}`": _written(field.default) for name, field in Settings.model_fields.items()
    }


def test_every_value_that_a_setting_may_have_is_named(setting_rows):
    for row, field in zip(setting_rows, Settings.model_fields.values(), strict=True):
        for value in get_args(field.annotation):
            if isinstance(value, str):
                assert f"`{value}`" in row[2], row[0]


def test_every_setting_says_its_unit_and_its_meaning(setting_rows):
    assert all(len(row) == 4 and row[2] and row[3].endswith(".") for row in setting_rows)


def test_every_problem_code_is_explained(explained):
    codes = {code for _, code in problems.TABLE.values()} | set(problems.TITLES)
    assert sorted(code for code in codes if f"`{code}`" not in explained) == []


def test_every_route_is_explained(explained):
    assert sorted(route for route in access.TABLE if f"`{route}`" not in explained) == []


def test_every_verb_of_the_command_is_explained(explained):
    verbs = list(_verbs())
    assert verbs
    assert sorted(verb for verb in verbs if not re.search(rf"onelook {verb}\b", explained)) == []


def test_every_relative_link_leads_to_a_file_and_a_heading(texts, root):
    astray = [
        f"{page}: {target}"
        for page, text in texts.items()
        if page.endswith(".md")
        for target in LINK.findall(text)
        if not _leads_somewhere(root / page, target)
    ]
    assert astray == []


def test_no_file_names_a_place_on_a_developers_machine(texts):
    assert _places(texts, MACHINE) == []


def test_nothing_is_left_to_be_done_later_in_a_remark(texts):
    assert _places(texts, UNFINISHED) == []


def test_every_decision_has_its_number_date_and_parts(root):
    records = sorted((root / "docs" / "decisions").glob("*.md"))
    assert len(records) > 1
    for number, record in enumerate(records):
        text = record.read_text(encoding="utf-8")
        assert record.name.startswith(f"{number:04d}-"), "a number is missing, or there twice"
        assert text.startswith(f"# {number:04d}: ")
        for part in ("- Date: ", "- Status: ", "## Context", "## Decision", "## Consequences"):
            assert part in text, record.name
        assert number == 0 or re.search(r"^- Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE), record.name


def test_every_weight_has_a_card_and_a_notice(root):
    folder = root / "models" / "weights"
    notice = (folder / "NOTICE").read_text(encoding="utf-8")
    weights = sorted(folder.glob("*.safetensors"))
    assert weights
    for file in weights:
        card = file.with_suffix(".md").read_text(encoding="utf-8")
        assert file.name in notice
        for part in ("**Licence.**", "## Input and output", "## What it was trained on", "## Use", "## Limits"):
            assert part in card, file.name


def test_every_sample_photo_has_a_source(root):
    sources = (root / "samples" / "SOURCES.md").read_text(encoding="utf-8")
    photos = sorted((root / "samples").glob("*.jpg"))
    assert photos
    assert [photo.name for photo in photos if f"| `{photo.name}` |" not in sources] == []


def _written(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "`[]`" if not default else f"`{list(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _verbs() -> Iterator[str]:
    programs = [value for value in vars(app.cli).values() if isinstance(value, typer.Typer)]
    for program in programs:
        command = typer.main.get_command(program)
        yield from _below(command, "")


def _below(command: Any, path: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        if path:
            yield path
        return
    for name, one in inner.items():
        if not one.hidden:
            yield from _below(one, f"{path} {name}".strip())


def _read(root: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        file = root / name
        if name and file.is_file():
            content = file.read_bytes()
            if b"\0" not in content:
                yield name, content.decode("utf-8", "replace")


def _places(texts: dict[str, str], what: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if what.search(line)
    ]


def _leads_somewhere(page: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    path, _, heading = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return False
    return not heading or heading in _headings(file.read_text(encoding="utf-8"))


def _headings(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))
