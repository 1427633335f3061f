"""`onelook backup` and `onelook restore`."""

from pathlib import Path

import typer

from app.cli.home import note, open_rows
from app.settings import Settings


def backup(file: Path = typer.Argument(..., help="the file to write; it must not be there yet")) -> None:
    """Write everything that is stored to one file, while the service serves. The keys of people are not in it."""
    from app.store.archive.backup import back_up

    with open_rows(Settings.read()) as store:
        done = back_up(store, file)
        note(store, "backup.made", seq=done.seq, persons=done.persons)
    typer.echo(f"{file}: {done.persons} persons, {done.templates} templates, up to change {done.seq}")
    if done.unreadable:
        typer.echo(
            f"{done.unreadable} persons or templates could not be opened and are not in it: put the newest copy of the "
            "keys of people back, or what of the database is damaged",
            err=True,
        )


def restore(file: Path = typer.Argument(..., help="a file that `onelook backup` wrote")) -> None:
    """Fill an empty database with a backup; the service must not run. Who was erased since stays erased."""
    from app.store.archive.restore import restore as restored_from

    with open_rows(Settings.read()) as store:
        done = restored_from(store, file)
        note(store, "backup.restored", made_at=done.made_at, persons=done.persons, erased=done.erased)
    typer.echo(
        f"{done.persons} persons and {done.templates} templates of {done.made_at}; "
        f"{done.erased} persons in it were erased since, and stay so"
    )
