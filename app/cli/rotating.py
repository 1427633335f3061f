"""`onelook keys rotate`: new keys for what is sealed at rest. The other verbs of `keys` are about API keys."""

import typer
from rich.console import Console

from app.cli.home import note, open_rows
from app.settings import Settings


def rotate() -> None:
    """Seal every template anew, under a new master key and new keys of people; the service may run meanwhile.

    Run it again after an interruption: it goes on. Older copies of the master key and of the keys of people do not open
    what is sealed now; copies of the database's files from before open no more, backups by `onelook backup` do.
    """
    settings = Settings.read()
    with open_rows(settings) as store, Console(stderr=True).status("sealing anew") as status:
        from app.store.vault.rotation import rotate as rotate_keys

        done = rotate_keys(store, told=lambda keys: status.update(f"sealing anew: {keys} keys done"))
        note(store, "keys.rotated", master_id=done.master_id, templates=done.templates)
    typer.echo(f"{done.templates} templates are sealed anew; the master key is {done.master_id}")
    if not done.retired:
        place = "ONELOOK_MASTER_KEY" if settings.master_key is not None else settings.master_key_path()
        typer.echo(f"take every other master key out of {place} now: nothing needs them any more", err=True)
    typer.echo("copy the master key and the keys of people anew: older copies do not open what is sealed now", err=True)
