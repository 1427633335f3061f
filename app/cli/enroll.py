"""`onelook enroll`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.enrolling import enroll_here
from app.cli.home import open_desk
from app.cli.outcomes import Tally, tell
from app.cli.photo_folder import FolderContent, PhotoFolder
from app.cli.plainly import REFUSED, UNUSABLE, told
from app.settings import Settings


def enroll(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a folder for each person, with photos")],
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="write what was refused there too, as CSV")
    ] = None,
    gallery: Annotated[list[str] | None, typer.Option(help="a gallery that everybody shall be in, repeated")] = None,
    consent: Annotated[str | None, typer.Option(help="the basis on which the faces are held")] = None,
    server: Annotated[
        str | None, typer.Option(help="URL of a running service that shall do it; none: this process does, on the home")
    ] = None,
    key: Annotated[str | None, typer.Option(help="with --server: a key with `enroll`, or @FILE that holds it")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="with --server: whose certificates to believe, PEM")
    ] = None,
) -> None:
    """Enrol a folder of people: a folder a person, its name the person's external id.

    The first photo that is accepted enrols the person, under the folder's name with blanks for underscores; each other
    one becomes a template. Run it again after an interruption, and it goes on where it stopped; run it again after its
    end, and what was refused is tried again.
    """
    photos = PhotoFolder.read(folder)
    if not photos.count():
        raise told(f"{folder} holds no folder with photos: make one for each person, {folder}/Ada/1.jpg", UNUSABLE)
    if (server is None) != (key is None):
        raise told("--server and --key belong together: give both or none", UNUSABLE)
    defaults: dict[str, Any] = {"galleries": gallery} if gallery else {}
    defaults |= {"consent": consent} if consent else {}
    if server is not None and key is not None:
        from app.cli.sending import enroll_there

        tally = enroll_there(photos, server, key, ca_file, defaults)
    else:
        tally = _here(photos, defaults)
    tell(tally, report)
    if tally.refused:
        raise typer.Exit(REFUSED)


def _here(photos: PhotoFolder, defaults: dict[str, Any]) -> Tally:
    settings = Settings.read()
    with open_desk(settings) as desk, _bar("enrolling") as progress:
        try:
            return enroll_here(desk, FolderContent(photos, settings.max_image_bytes), defaults, progress)
        except KeyboardInterrupt:
            typer.echo("stopped: run the same command again to go on", err=True)
            raise


@contextmanager
def _bar(text: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
