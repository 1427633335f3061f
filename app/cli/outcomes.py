"""What became of a folder of people, told to whoever ran the command."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.plainly import shown

LEAST_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Refusal:
    """A photo that was refused, the code of the problem, and what to do about it."""

    photo: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many photos became what; settled: in this run, refused ones included; before: stored by earlier ones."""

    enrolled: int = 0
    template: int = 0
    before: int = 0
    erased: int = 0
    settled: int = 0
    refused: tuple[Refusal, ...] = ()

    def with_one(self, status: str) -> "Tally":
        """One photo more that came to that status."""
        more = {status: getattr(self, status) + 1} if status in ("enrolled", "template") else {}
        return replace(self, settled=self.settled + 1, **more)


def explained(detail: str, members: Mapping[str, Any], whom: str | None) -> str:
    """The sentences of a problem: its detail, the advice that it carries, and whom the face looks like."""
    if reasons := members.get("reasons"):
        return " ".join((f"{detail.split(':')[0]}.", *(reason["advice"] for reason in reasons)))
    if whom is not None and "similarity" in members:
        return f"The face looks like somebody already enrolled: {whom}, similarity {members['similarity']:.3f}."
    return detail


def tell(tally: Tally, report: Path | None) -> None:
    """Prints the counts and each refusal, and writes the refusals to `report` as CSV."""
    text = (
        f"{tally.enrolled} persons enrolled, {tally.template} templates added, "
        f"{tally.before} photos done before, {len(tally.refused)} refused"
    )
    if tally.erased:
        text += f", {tally.erased} passed over because their people were erased meanwhile"
    typer.echo(text)
    if tally.refused:
        table = Table("refused", "code", "why")
        for one in tally.refused:
            table.add_row(*(Text(shown(cell)) for cell in (one.photo, one.code, one.why)))
        # A pipe has 80 columns, in which paths would be broken.
        Console(width=max(Console().width, LEAST_WIDTH)).print(table)
    if report is not None:
        _write(report, tally.refused)


def _write(report: Path, refused: Sequence[Refusal]) -> None:
    # It names people: nobody else needs to read it.
    descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("photo", "code", "why"))
        rows.writerows([shown(cell) for cell in (one.photo, one.code, one.why)] for one in refused)
