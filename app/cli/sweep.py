"""`onelook style --sweep`: small renders under several settings on one sheet, each with the command that renders it."""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.plainly import REFUSED, UNUSABLE, shown, told
from app.cli.style_files import fits, stoppable, write
from app.cli.style_options import Asked, flag_of, refused
from app.cli.style_progress import display
from app.cli.style_run import Run, planned
from models.errors import InvalidOption
from models.style.options import CHOICES, RANGES, Options

if TYPE_CHECKING:
    from PIL import Image

AUTO = "auto"
USUAL = ("beta=x0.1,x1,x10", "scale=0.5,1")
MOST_AXES, MOST_CELLS = 2, 36
# What a small render cannot foretell, or what the sheet has flags of its own for.
FIXED = ("medium", "size", "extra")
MANY = "style_scales"
TIMES = re.compile(r"x[0-9.]+(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Axis:
    """An option, and the values it shall have. A number behind an x: so many times what it would be."""

    option: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Axis":
        """Reads `flag=value,value`. Raises typer.Exit."""
        name, _, said = text.partition("=")
        by_flag = {flag_of(field.name): field.name for field in fields(Options)}
        option = by_flag.get(f"--{name.strip()}", "")
        if option in FIXED or option not in (*CHOICES, *RANGES, MANY):
            known = sorted(flag_of(one)[2:] for one in (*CHOICES, *RANGES, MANY) if one not in FIXED)
            raise told(f"--sweep {name}: there is {', '.join(known)}", UNUSABLE)
        values = tuple(dict.fromkeys(value.strip() for value in said.split(",") if value.strip()))
        if not values:
            raise told(f"--sweep {name}: give values, such as beta=1e2,1e3 or init=content,noise", UNUSABLE)
        return cls(option, values)

    def put(self, options: Options, value: str, styles: int, usual: float) -> Options:
        """The options with that value. usual: what an x multiplies. Raises typer.Exit."""
        told_value: Any = value
        if self.option not in CHOICES:
            try:
                told_value = usual * float(value[1:]) if TIMES.fullmatch(value) else float(value)
            except ValueError:
                raise told(f"--sweep {flag_of(self.option)[2:]}: {value} is no number", UNUSABLE) from None
            if type(getattr(Options(), self.option)) is int and told_value.is_integer():
                told_value = int(told_value)
        try:
            known = Options.of({self.option: [told_value] * styles if self.option == MANY else told_value})
        except InvalidOption as e:
            raise refused(e) from e
        return replace(options, **{self.option: getattr(known, self.option)})


@dataclass(frozen=True)
class Cell:
    """One render of the sheet. full: as it would be rendered; small: what foretells it."""

    caption: str
    full: Options
    small: Options
    command: str


def draw_sweep(asked: Asked, said: Sequence[str], size: int, steps: int, *, json_line: bool) -> None:
    """Renders every cell and draws the sheet. Raises typer.Exit, LibraryError and OSError.

    Stopped by Ctrl-C, it draws those that are done.
    """
    axes = [Axis.of(text) for one in said for text in (USUAL if one == AUTO else (one,))]
    if len(axes) > MOST_AXES or len({axis.option for axis in axes}) < len(axes):
        raise told(f"--sweep takes {MOST_AXES} different settings at most", UNUSABLE)
    if len(list(itertools.product(*(axis.values for axis in axes)))) > MOST_CELLS:
        raise told(f"--sweep draws {MOST_CELLS} renders at most: give fewer values", UNUSABLE)
    whole = planned(asked, asked.options)
    if whole.medium != "picture":
        raise told(f"--sweep draws pictures only, and this is a render of {whole.medium}", REFUSED)
    fits(asked.out, ".png", "image/png")
    cells = cells_of(asked, axes, size, steps)
    pictures, facts, stopped = _rendered(asked, cells)
    if pictures:
        _draw(asked.out, pictures, cells, len(axes[-1].values))
    _tell(asked, cells, facts, json_line=json_line)
    if stopped is not None:
        raise told(f"stopped: {len(pictures)} of {len(cells)} renders are done", stopped)


def cells_of(asked: Asked, axes: Sequence[Axis], size: int, steps: int) -> list[Cell]:
    """The cells, row by row. The small render's beta has to the full one's the relation of the convention's own."""
    found: list[Cell] = []
    for number, values in enumerate(itertools.product(*(axis.values for axis in axes)), 1):
        full, captions = asked.options, []
        # Beta comes last: what it would be depends on the others.
        for axis, value in sorted(zip(axes, values, strict=True), key=lambda pair: pair[0].option == "beta"):
            usual = getattr(planned(asked, full).options, axis.option)
            full = axis.put(full, value, len(asked.styles), usual if isinstance(usual, int | float) else 1.0)
        for axis, value in zip(axes, values, strict=True):
            said = getattr(full, axis.option)
            plain = said[0] if isinstance(said, tuple) else said
            told_value = f"{plain:.4g}" if isinstance(plain, float) else str(plain)
            captions.append(f"{flag_of(axis.option)[2:]} {told_value}{f' ({value})' if value[0] == 'x' else ''}")
        out = asked.out.with_name(f"{asked.out.stem}-{number}.png")
        small = _small(asked, full, size, steps, keep_steps=any(axis.option == "steps" for axis in axes))
        found.append(Cell(f"{number}: {', '.join(captions)}", full, small, asked.command(out, full)))
    return found


def _small(asked: Asked, full: Options, size: int, steps: int, *, keep_steps: bool) -> Options:
    settled = planned(asked, full).options
    small = replace(full, size=min(size, settled.size or size), beta=None)
    usual, large = planned(asked, small).options.beta, planned(asked, replace(full, beta=None)).options.beta
    assert settled.beta is not None
    assert usual is not None
    assert large is not None
    return replace(small, beta=settled.beta * usual / large, steps=full.steps if keep_steps else min(full.steps, steps))


def _rendered(asked: Asked, cells: Sequence[Cell]) -> tuple[list["Image.Image"], list[dict[str, Any]], int | None]:
    from io import BytesIO

    from PIL import Image

    pictures: list[Image.Image] = []
    facts: list[dict[str, Any]] = []
    with stoppable() as beat:
        for number, cell in enumerate(cells, 1):
            run = Run(planned(asked, cell.small))
            with display(run.plan.steps, what=f"{number} of {len(cells)}  ") as show:
                run.go(beat, show)
            if run.stopped is not None or run.last is None:
                return pictures, facts, 1 if run.stopped is None else run.stopped.status
            with Image.open(BytesIO(run.last.result().content)) as picture:
                pictures.append(picture.convert("RGB"))
            facts.append(run.facts())
    return pictures, facts, None


def _draw(out: Path, pictures: Sequence["Image.Image"], cells: Sequence[Cell], columns: int) -> None:
    from io import BytesIO

    from app.cli.sweep_sheet import sheet

    file = BytesIO()
    drawn = sheet(pictures, [cell.caption for cell in cells[: len(pictures)]], columns)
    drawn.save(file, "PNG")
    write(out, file.getvalue())


def _tell(asked: Asked, cells: Sequence[Cell], facts: Sequence[dict[str, Any]], *, json_line: bool) -> None:
    done = cells[: len(facts)]
    if json_line:
        told_cells = [
            {"caption": cell.caption, "command": cell.command, **fact} for cell, fact in zip(done, facts, strict=True)
        ]
        typer.echo(json.dumps({"out": str(asked.out) if done else None, "cells": told_cells}))
        return
    for cell in done:
        typer.echo(f"{cell.caption}\n  {shown(cell.command)}")
    if done:
        typer.echo(f"drawn to {shown(str(asked.out))}")
