"""`onelook calibrate`: thresholds and the probability, measured on one's own labelled photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.comparing import wide_console
from app.cli.evaluate import print_points
from app.cli.home import open_rows
from app.cli.photo_folder import PhotoFolder
from app.cli.photos import read_photos, serving_reader
from app.cli.plainly import UNUSABLE, told
from app.settings import Settings

if TYPE_CHECKING:
    from models.measure.likelihood import Likelihood
    from models.measure.operating_points import Calibration
    from models.measure.readings import Readings
    from models.measure.sample import Sample

OWN_NAME = "photos of this home"


def calibrate(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a folder for each person, with photos")],
    name: Annotated[str, typer.Option(help="what the sample is called, in `/calibration`")] = OWN_NAME,
    draw: Annotated[Path | None, typer.Option(dir_okay=False, help="draw the reliability of both fits there")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="measure and print, and write nothing")] = False,
) -> None:
    """Measure thresholds and probability on photos of people like those at your doors, a folder a person.

    They are written to the home, where the service takes them in place of the shipped ones when it starts next. No
    photo and no embedding is kept. Photos without a face count as missed.
    """
    photos = PhotoFolder.read(folder)
    _refuse_too_few(photos)
    if draw is not None:
        from models.measure.reliability_plot import needs_matplotlib

        needs_matplotlib()
    settings, console = Settings.read(), wide_console()
    from app.inference.encoders import wanted_model  # torch takes seconds to import

    model = wanted_model(settings)
    paths = [path.relative_to(folder).as_posix() for person in photos.people for path in person.photos]
    labels = [person.name for person in photos.people for _ in person.photos]
    opener = serving_reader(settings, flip=settings.flip_averaging)
    readings = read_photos(folder, paths, None, model, opener, console)
    _tell_unread(readings, paths, console)
    measured = _measured(settings, readings, paths, labels, name, model, dry_run=dry_run)
    print_points(console, measured, "on your own photos")
    if measured.likelihood is not None:
        print_trials(console, measured.likelihood)
    if draw is not None:
        _draw(readings.sample(paths, labels), measured.sample.seed, draw)
    for line in looser(settings, measured):
        console.print(f"[bold]looser than shipped[/]: {line}")
    if not dry_run:
        from app.inference.calibration import OWN_FILE

        console.print(f"written to {settings.home / OWN_FILE}; a service takes it when it starts next")


def print_trials(console: Console, likelihood: "Likelihood") -> None:
    """The ways that the probability was fitted, the one that was taken first."""
    title = f"probability: Brier scores on people who were not fitted on; {likelihood.trials[0].method} is taken"
    table = Table("fit", "1:1, half rightful", "1:K among 100, half enrolled", title=title, title_justify="left")
    for trial in likelihood.trials:
        table.add_row(trial.method, f"{trial.verification:.6f}", f"{trial.identification:.6f}")
    console.print(table)


def looser(settings: Settings, measured: "Calibration") -> list[str]:
    """Where the service would take a looser point than the shipped one, or have none: one line for each such size."""
    from app.errors import Misconfigured
    from app.inference import calibration

    try:
        shipped = calibration.load(settings.model, measured.model_id)
    except Misconfigured:
        return []
    own = calibration.served(measured)
    lines = []
    one, other = own.for_verification(), shipped.for_verification()
    if one.target > other.target:
        lines.append(f"1:1 by itself at FMR {one.target:g}, where the shipped point is {other.target:g}")
    for size in sorted({p.gallery_size for p in shipped.identification if p.gallery_size is not None}):
        one, other = own.for_identification(size), shipped.for_identification(size)
        if one.support == "outgrown":
            lines.append(f"a gallery of {size} has outgrown your photos, and the shipped ones not")
        elif one.target > other.target:
            lines.append(f"a gallery of {size} at FPIR {one.target:g}, where the shipped point is {other.target:g}")
    return lines


def _refuse_too_few(photos: PhotoFolder) -> None:
    from app.actions.calibrate import Calibrate

    if not photos.count():
        raise told(f"{photos.top} holds no folder with photos: make one for each person", UNUSABLE)
    Calibrate.refuse_too_few([len(person.photos) for person in photos.people if person.photos])


def _measured(
    settings: Settings,
    readings: "Readings",
    paths: list[str],
    labels: list[str],
    name: str,
    model: str,
    *,
    dry_run: bool,
) -> "Calibration":
    from functools import partial

    from app.actions.calibrate import Calibrate
    from app.clock import SystemClock
    from app.inference import calibration

    faces = [readings[path].vector for path in paths]
    if dry_run:
        return Calibrate.measured(faces, labels, name, model)
    with open_rows(settings) as store:
        return Calibrate(store, model, partial(calibration.keep, settings.home), SystemClock())(faces, labels, name)


def _tell_unread(readings: "Readings", paths: list[str], console: Console) -> None:
    from models.measure.readings import NO_FACE, REFUSED

    without, refused = (readings.count(paths, state) for state in (NO_FACE, REFUSED))
    if without or refused:
        console.print(f"{without} photos show no face and {refused} were refused: they count as missed")


def _draw(sample: "Sample", seed: int, file: Path) -> None:
    from models.measure.likelihood import choose
    from models.measure.reliability_plot import draw_reliability

    chosen = choose(sample, seed=seed)
    if chosen is not None:
        draw_reliability(chosen, file)
