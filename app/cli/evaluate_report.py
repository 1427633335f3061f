"""`onelook evaluate report`: everything that is measured of an encoder, as one page with its plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli.comparing import (
    BUILD,
    Bench,
    BuildOption,
    Compared,
    FreshOption,
    bad_data_refused,
    compare_folder,
    compare_lfw,
    print_columns,
    throughput,
    write_json,
)
from app.cli.contenders import FlipOption, ModelOption
from app.cli.evaluate_doors import compare_doors
from app.cli.evaluate_models import IdentitiesOption, plottable
from models.measure.identities import photos_of, read_identities
from models.measure.side_by_side import Column, as_markdown

INTRODUCTION = """\
Rates are shares; a face that was not found, and a photo that was refused, is a miss and stays in every count. Intervals
are 95 %, by a bootstrap over people in which every replicate sets its own threshold. A change is the rate less that of
the first model, in points of percent, and in brackets as a share of the first model's rate; its interval is paired:
both models on the same people, redrawn the same way."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One data set: its heading, its tables, and the plots below them."""

    heading: str
    columns: Sequence[Column]
    plots: Sequence[Path] = ()


def report(
    out: Annotated[Path, typer.Argument(file_okay=False, help="folder of the report: report.md, report.json, plots")],
    lfw: Annotated[Path, typer.Option(help="folder of LFW")] = Path("../shared/data/lfw"),
    folders: Annotated[
        list[Path] | None,
        typer.Option("--folder", exists=True, file_okay=False, help="a folder of identities; several are allowed"),
    ] = None,
    identities: IdentitiesOption = None,
    models: ModelOption = None,
    flip: FlipOption = None,
    people: Annotated[int | None, typer.Option(min=2, help="of the doors: so many people; none: all")] = None,
    build: BuildOption = BUILD,
    fresh: FreshOption = False,
) -> None:
    """LFW, the conditions of a door, folders of identities and speed, of one encoder or several, as one page.

    No photo is drawn. --identities chooses in every --folder; the people of LFW are always all.
    """
    plottable(out)
    with bad_data_refused():
        chosen = None if identities is None else read_identities(identities)
        sets = {top: photos_of(top, chosen) for top in folders or ()}
    bench = Bench.set_up(models, flip, build, fresh=fresh)
    with bad_data_refused():
        compared = {"Labeled Faces in the Wild": compare_lfw(bench, lfw)}
        compared["The conditions of a door"] = compare_doors(bench, lfw, people)
        for top, own in sets.items():
            compared[f"{top.resolve().name}: {len(own)} people"] = compare_folder(bench, top, own)
    speed = throughput(bench)
    chapters = [*_drawn(compared, out), Chapter("Speed", speed)]
    (out / "report.md").write_text(page(bench, chapters), encoding="utf-8")
    write_json(out / "report.json", {chapter.heading: chapter.columns for chapter in chapters})
    for chapter in chapters:
        print_columns(bench.console, chapter.columns)
    bench.console.print(f"written to {out / 'report.md'}")


def page(bench: Bench, chapters: Sequence[Chapter]) -> str:
    """The report as Markdown; plots are named relative to it."""
    models = [
        f"| {one.title} | `{one.model_id}` | {one.precision} | {one.device} | {'yes' if one.flip else 'no'} |"
        for one in bench.contenders
    ]
    head = ["| model | model_id | precision | device | flip averaging |", "|---|---|---|---|---|", *models]
    parts = ["# What the encoders are worth", INTRODUCTION, "\n".join(head)]
    for chapter in chapters:
        parts += [f"## {chapter.heading}", as_markdown(chapter.columns).rstrip()]
        parts += [f"![{plot.stem}]({plot.name})" for plot in chapter.plots]
    return "\n\n".join(parts) + "\n"


def _drawn(compared: Mapping[str, Compared], out: Path) -> list[Chapter]:
    out.mkdir(parents=True, exist_ok=True)
    return [Chapter(heading, one.columns, one.draw(out)) for heading, one in compared.items()]
