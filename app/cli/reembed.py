"""`onelook reembed`: the change to another model."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.home import note, open_desk, open_rows
from app.cli.plainly import REFUSED, shown, told
from app.settings import Settings

if TYPE_CHECKING:
    from app.domain.job import Job
    from app.domain.model import LeftBehind
    from app.routes.desk import Desk

LOOK_S = 0.5


def reembed(
    without_them: Annotated[
        bool, typer.Option("--without-them", help="leave those behind of whom no crop is kept: they are found no more")
    ] = False,
    list_only: Annotated[bool, typer.Option("--list", help="only list of whom no crop is kept")] = False,
    forget_crops: Annotated[
        bool, typer.Option("--forget-crops", help="only delete every kept crop: nobody can be embedded anew after it")
    ] = False,
) -> None:
    """Embed every template anew, from the kept crops, by the model that the settings name; then cut over to it.

    The service may run meanwhile: it serves the old model until the one transaction that cuts over, and the new one
    from the next request on. Run it again after an interruption: it goes on.
    """
    settings = Settings.read()
    if forget_crops:
        _forget_crops(settings)
        return
    with open_desk(settings) as desk:
        served, wanted = desk.gallery.served, desk.wanted_model_id
        if served.model_id == wanted:
            typer.echo(f"{wanted} is served already: there is nothing to do")
            return
        left = desk.submit_reembedding.left_behind(limit=sys.maxsize)
        _list(desk, left)
        if list_only:
            return
        if left.persons and not without_them:
            raise told("enrol them anew later and say --without-them, or leave the model as it is", REFUSED)
        job = desk.submit_reembedding(without_them=without_them)
        typer.echo(f"{served.model_id} is served until {wanted} is ready", err=True)
        with _bar() as progress:
            job = _done(desk, job.id, progress)
    if job.status != "succeeded":
        raise told((job.error or {}).get("detail") or "it was cancelled: nothing was changed", REFUSED)
    result = job.result or {}
    typer.echo(f"{wanted} is served now: {result['templates']} templates, {result['persons_left_behind']} left behind")
    if result["unreadable_crops"]:
        typer.echo(f"{result['unreadable_crops']} crops could not be opened: run `onelook doctor`", err=True)


def _forget_crops(settings: Settings) -> None:
    with open_rows(settings) as store:
        with store.write() as uow:
            count = uow.crops.forget_all()
            uow.commit()
        note(store, "crops.forgotten", crops=count)
    typer.echo(f"{count} crops deleted")


def _list(desk: "Desk", left: "LeftBehind") -> None:
    if left.persons:
        typer.echo(f"no crop is kept of {left.persons} persons, who would be recognized no more:")
    with desk.store.read() as uow:
        for person_id in left.first:
            person = uow.people.get(person_id)
            typer.echo(person_id if person is None else f"{person_id}  {shown(person.name)}")


def _done(desk: "Desk", job_id: str, progress: Callable[[int, int], object]) -> "Job":
    """The job once it has ended: worked on here, or by a service that was faster."""
    try:
        while True:
            claimed = desk.claim_reembedding([job_id])
            if claimed is not None:
                desk.run_reembedding(claimed, stop=threading.Event(), progress=progress)
            with desk.store.read() as uow:
                job = uow.jobs.get(job_id)
            assert job is not None
            if job.ended:
                return job
            progress(job.step, job.steps)
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        typer.echo("stopped: run the same command again to go on; a running service goes on by itself", err=True)
        raise


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("embedding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
