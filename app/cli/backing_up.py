"""`onelook backup` and `onelook restore`."""

from pathlib import Path

import typer

from app.settings import Settings


def backup(file: Path = typer.Argument(..., help="the file to write; it must not be there yet")) -> None:
    """Write everything that is stored to one file, while the service serves. The keys of people are not in it."""
    from app.assembly.parts import open_store
    from app.store.archive.backup import back_up

    store = open_store(Settings.read())
    try:
        done = back_up(store, file)
    finally:
        store.close()
    typer.echo(f"{file}: {done.persons} persons, {done.templates} templates, up to change {done.seq}")


def restore(file: Path = typer.Argument(..., help="a file that `onelook backup` wrote")) -> None:
    """Fill an empty database with a backup; the service must not run. Who was erased since stays erased."""
    from app.assembly.parts import open_store
    from app.store.archive.restore import restore as restored_from

    store = open_store(Settings.read())
    try:
        done = restored_from(store, file)
    finally:
        store.close()
    typer.echo(
        f"{done.persons} persons and {done.templates} templates of {done.made_at}; "
        f"{done.erased} persons in it were erased since, and stay so"
    )
