"""`onelook evaluate lfw --model` and `onelook evaluate folder`: any encoders side by side, on the same photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli.comparing import (
    BUILD,
    Bench,
    BuildOption,
    Compared,
    FreshOption,
    JsonOption,
    PlotsOption,
    bad_data_refused,
    compare_folder,
    compare_lfw,
    print_columns,
    throughput,
    write_json,
)
from app.cli.contenders import FlipOption, ModelOption
from models.measure.identities import photos_of, read_identities

IdentitiesOption = Annotated[
    Path | None, typer.Option("--identities", exists=True, dir_okay=False, help="only these, one a line")
]


def lfw_models(
    data: Path,
    models: Sequence[str] | None,
    *,
    flip: bool | None,
    fresh: bool,
    json_file: Path | None,
    plots: Path | None,
) -> None:
    """LFW under every encoder that was named, and how fast each is."""
    plottable(plots)
    bench = Bench.set_up(models, flip, BUILD, fresh=fresh)
    with bad_data_refused():
        compared = compare_lfw(bench, data)
    speed = throughput(bench)
    tell(bench, compared, json_file, plots)
    print_columns(bench.console, speed)


def folder(
    data: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a folder a person")],
    identities: IdentitiesOption = None,
    models: ModelOption = None,
    flip: FlipOption = None,
    build: BuildOption = BUILD,
    fresh: FreshOption = False,
    json_file: JsonOption = None,
    plots: PlotsOption = None,
) -> None:
    """An open set out of any folder of identities: half of those with two photos enrolled, all others strangers."""
    plottable(plots)
    with bad_data_refused():
        people = photos_of(data, None if identities is None else read_identities(identities))
    bench = Bench.set_up(models, flip, build, fresh=fresh)
    with bad_data_refused():
        compared = compare_folder(bench, data, people)
    tell(bench, compared, json_file, plots)


def tell(bench: Bench, compared: Compared, json_file: Path | None, plots: Path | None) -> None:
    """Prints the tables, and writes what was asked for."""
    print_columns(bench.console, compared.columns)
    if json_file is not None:
        write_json(json_file, {compared.title: compared.columns})
    if plots is not None:
        for file in compared.draw(plots):
            bench.console.print(f"drawn to {file}")


def plottable(plots: Path | None) -> None:
    """Raises ExtraMissing before anything slow begins when plots are wanted and cannot be drawn."""
    if plots is not None:
        from models.measure.plots import needs_matplotlib

        needs_matplotlib()
