"""`onelook evaluate`: how well faces are told apart, measured through the very path that serves."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli import evaluate_report
from app.cli.comparing import PlotsOption, wide_console
from app.cli.contenders import ModelOption
from app.cli.evaluate_doors import doors
from app.cli.evaluate_models import folder, lfw_models
from app.cli.photos import OpenReader, read_photos, serving_reader
from app.domain import operating_point as domain
from app.settings import Settings
from models.measure.calibrate import calibrate
from models.measure.lfw import person_of, read_protocol
from models.measure.lfw_figures import Figure, Lfw, lfw_figures, served_figures
from models.measure.operating_points import Calibration, Point, as_text, read_calibrations, write_calibrations
from models.measure.side_by_side import rate

app = typer.Typer(help="Measure how well faces are told apart.", no_args_is_help=True)
app.command()(folder)
app.command()(doors)
app.command()(evaluate_report.report)

DATA = Path("../shared/data/lfw")
CACHES = Path("build/readings")
SAMPLE_NAME = "LFW, View 1, test part (peopleDevTest.txt)"
SEED = 1

DataOption = Annotated[Path, typer.Option("--data", help="folder of LFW: a folder a person, and the protocol files")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="read every photo again, whatever was kept")]


@app.command()
def lfw(
    data: DataOption = DATA,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="flip averaging; default: as set")] = None,
    cache: Annotated[Path | None, typer.Option(help="readings are kept in this .npz; it holds embeddings")] = None,
    fresh: FreshOption = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures there too")] = None,
    models: ModelOption = None,
    plots: PlotsOption = None,
) -> None:
    """View 2, the open set, all pairs, and the rates at the thresholds that are served, each with its counts.

    With --model, or --plots: any encoders side by side, without the thresholds that are served.
    """
    if models or plots:
        lfw_models(data, models, flip=flip, fresh=fresh, json_file=json_file, plots=plots)
        return
    settings, console = Settings.read(), wide_console()
    flip = settings.flip_averaging if flip is None else flip
    model_id, shipped = _shipped(settings, flip=flip)
    cache = cache or CACHES / f"{model_id}.npz"
    with _bad_files_refused():
        opener = serving_reader(settings, flip=flip)
        figures = evaluate_lfw(data, cache, model_id, opener, shipped, console, fresh=fresh)
    print_figures(console, figures)
    if json_file is not None:
        report = {"model_id": model_id, "figures": [asdict(figure) for figure in figures]}
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@app.command("operating-points")
def operating_points(
    data: DataOption = DATA,
    caches: Annotated[Path, typer.Option(help="folder of kept readings; they hold embeddings")] = CACHES,
    fresh: FreshOption = False,
    write: Annotated[bool, typer.Option("--write", help="write the file that is shipped beside the weights")] = False,
) -> None:
    """Measures the thresholds that are served, without and with flip averaging, on the people of View 1's test part."""
    settings, console = Settings.read(), wide_console()
    measured: list[Calibration] = []
    for flip in (False, True):
        model_id, shipped = _shipped(settings, flip=flip)
        with _bad_files_refused():
            opener = serving_reader(settings, flip=flip)
            cache = caches / f"{model_id}.npz"
            measured.append(measure_operating_points(data, cache, model_id, opener, console, fresh=fresh))
        print_points(console, measured[-1], "with flip averaging" if flip else "without flip averaging")
    if write:
        write_calibrations(shipped, measured)
        console.print(f"written to {shipped}")
    else:
        with _bad_files_refused():
            console.print(compared_with_shipped(shipped, measured))


def evaluate_lfw(
    data: Path,
    cache: Path,
    model_id: str,
    open_reader: OpenReader,
    shipped: Path,
    console: Console,
    *,
    fresh: bool = False,
) -> list[Figure]:
    """Reads what is not yet in the cache, and measures. shipped: the file of operating points, which may be missing.

    Raises FileNotFoundError for a missing photo or protocol file, ValueError for a file that is not what it should be.
    """
    protocol = read_protocol(data)
    readings = read_photos(data, protocol.photos(), cache, model_id, open_reader, console, fresh=fresh)
    read = Lfw.of(protocol, readings)
    figures = lfw_figures(read)
    points = read_calibrations(shipped).get(model_id) if shipped.exists() else None
    if points is None:
        console.print(f"no thresholds are shipped for {model_id}: `onelook evaluate operating-points --write`")
        return figures
    return [*figures, *served_figures(read, _points(points), _serving(points))]


def measure_operating_points(
    data: Path, cache: Path, model_id: str, open_reader: OpenReader, console: Console, *, fresh: bool = False
) -> Calibration:
    """Reads what is not yet in the cache of View 1's test part, and calibrates on it. Raises as `evaluate_lfw` does."""
    protocol = read_protocol(data)
    paths = protocol.photos(protocol.view1_test)
    readings = read_photos(data, paths, cache, model_id, open_reader, console, fresh=fresh)
    sample = readings.sample(paths, [person_of(path) for path in paths])
    return calibrate(sample, model_id=model_id, name=SAMPLE_NAME, seed=SEED)


def compared_with_shipped(file: Path, measured: Sequence[Calibration]) -> str:
    """One sentence: whether the shipped file holds these very points, and if not, how far thresholds lie apart."""
    if not file.exists():
        return f"{file.name} is not there: --write makes it"
    if file.read_text(encoding="utf-8") == as_text(measured):
        return f"equal, byte for byte, to the shipped {file.name}"
    shipped = {(p.model_id, p.name): p for c in read_calibrations(file).values() for p in _points(c)}
    now = {(p.model_id, p.name): p for c in measured for p in _points(c)}
    if shipped.keys() != now.keys():
        return f"not the points of the shipped {file.name}: {len(shipped)} are shipped, {len(now)} were measured"
    apart = max(abs(shipped[key].threshold - now[key].threshold) for key in now)
    return f"differs from the shipped {file.name}: thresholds lie at most {apart:.6f} apart"


def print_figures(console: Console, figures: Sequence[Figure]) -> None:
    """One table for each section."""
    for section, rows in groupby(figures, key=lambda figure: figure.section):
        table = Table("measure", "rate", "count", "95 %", "note", title=section, title_justify="left")
        for row in rows:
            count = "" if row.count is None else f"{row.count} of {row.of}"
            interval = "" if row.interval is None else " .. ".join(map(rate, row.interval))
            table.add_row(row.measure, rate(row.value), count, interval, row.note)
        console.print(table)


def print_points(console: Console, measured: Calibration, title: str) -> None:
    """One table of operating points."""
    names = ("point", "threshold", "support", "found", "95 %", "misses", "people", "impostors", "genuine")
    table = Table(*names, title=f"{measured.model_id}, {title}", title_justify="left")
    for p in _points(measured):
        interval = " .. ".join(map(rate, p.interval))
        counts = (str(p.persons), str(p.impostors), str(p.genuine))
        table.add_row(p.name, f"{p.threshold:.6f}", p.support, rate(p.measured), interval, rate(p.miss), *counts)
    console.print(table)


def _shipped(settings: Settings, *, flip: bool) -> tuple[str, Path]:
    from app.inference.encoders import wanted_model  # torch takes seconds to import; the other verbs need not wait
    from models.weights import calibration_of

    return wanted_model(settings.model_copy(update={"flip_averaging": flip})), calibration_of(settings.model)


def _serving(points: Calibration) -> Callable[[int], Point]:
    """The service's own rule for which point it takes without a target, by the size of the gallery."""
    by_name = {p.name: p for p in points.identification}
    served = domain.Calibration(
        points.model_id,
        tuple(domain.OperatingPoint(**asdict(p)) for p in points.verification),
        tuple(domain.OperatingPoint(**asdict(p)) for p in points.identification),
    )

    def point(people: int) -> Point:
        chosen = served.for_identification(people)
        return replace(by_name[chosen.name], support=chosen.support)

    return point


def _points(calibration: Calibration) -> list[Point]:
    return [*calibration.verification, *calibration.identification]


@contextmanager
def _bad_files_refused() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as e:
        typer.echo(f"{e}; --data names the folder of LFW" if isinstance(e, FileNotFoundError) else str(e), err=True)
        raise typer.Exit(2) from e
