"""`onelook enroll`."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.cli.enrolling import FolderEnrolment, Outcome
from app.cli.home import open_desk
from app.cli.journal import Journal, NotingIdentifiers
from app.cli.photo_folder import PhotoFolder
from app.cli.plainly import REFUSED, UNUSABLE, shown, told
from app.settings import Settings

JOURNAL = "enroll-journal.jsonl"
LEAST_WIDTH = 120


def enroll(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a folder for each person, with photos")],
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="write what was refused there too, as CSV")
    ] = None,
) -> None:
    """Enrol a folder of people: a folder a person, its name the person's external id.

    The first photo that is accepted enrols the person, under the folder's name with blanks for underscores; each other
    one becomes a template. Run it again after an interruption: what was done is not done twice, what was refused is
    tried again.
    """
    settings = Settings.read()
    photos = PhotoFolder.read(folder)
    if not photos.count():
        raise told(f"{folder} holds no folder with photos: make one for each person, {folder}/Ada/1.jpg", UNUSABLE)
    outcomes = [*_enrolled(photos, settings), *map(_misplaced, photos.misplaced)]
    refused = [outcome for outcome in outcomes if outcome.done == "refused"]
    _print(outcomes, refused, folder)
    if report is not None:
        _write(report, refused, folder)
    if refused:
        raise typer.Exit(REFUSED)


def _enrolled(photos: PhotoFolder, settings: Settings) -> list[Outcome]:
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Journal(settings.home / JOURNAL) as journal:
        from app.clock import RandomIdentifiers

        identifiers = NotingIdentifiers(RandomIdentifiers(), journal)
        with open_desk(settings, identifiers) as desk:
            work = FolderEnrolment(desk, identifiers, settings, journal.finished(desk.store))
            # As many as keep every lane busy, and no more than may wait for one.
            return _at_once(work, photos, min(2 * desk.about.lanes, settings.inference_queue))


def _at_once(work: FolderEnrolment, photos: PhotoFolder, threads: int) -> list[Outcome]:
    columns = (TextColumn("enrolling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    outcomes: list[Outcome] = []
    with Progress(*columns, console=Console(stderr=True)) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task("enrolling", total=photos.count())
        futures = [pool.submit(work.enrol, person, lambda: bar.advance(task)) for person in photos.people]
        try:
            for future in futures:
                outcomes += future.result()
        except BaseException as e:
            work.stop.set()
            pool.shutdown(cancel_futures=True)
            if isinstance(e, KeyboardInterrupt):
                typer.echo("stopped: run the same command again to go on", err=True)
            raise
    return outcomes


def _misplaced(path: Path) -> Outcome:
    return Outcome(path, "refused", "misplaced", "Photos lie in a person's folder, one level deep.")


def _print(outcomes: Sequence[Outcome], refused: Sequence[Outcome], folder: Path) -> None:
    count = Counter(outcome.done for outcome in outcomes)
    typer.echo(
        f"{count['enrolled']} persons enrolled, {count['template']} templates added, "
        f"{count['before']} photos done before, {count['refused']} refused"
    )
    if not refused:
        return
    table = Table("refused", "code", "why")
    for one in refused:
        table.add_row(*(Text(shown(cell)) for cell in _row(one, folder)))
    # A pipe has 80 columns, in which paths would be broken.
    Console(width=max(Console().width, LEAST_WIDTH)).print(table)


def _write(report: Path, refused: Sequence[Outcome], folder: Path) -> None:
    # It names people: nobody else needs to read it.
    descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("photo", "code", "why"))
        rows.writerows([shown(cell) for cell in _row(one, folder)] for one in refused)


def _row(outcome: Outcome, folder: Path) -> tuple[str, str, str]:
    return str(outcome.photo.relative_to(folder)), outcome.code, outcome.detail
