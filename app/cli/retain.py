"""`onelook retain`."""

from typing import Annotated

import typer

from app.cli.home import open_desk
from app.settings import Settings


def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say who and what would go")] = False,
) -> None:
    """Erase persons not seen, and let go of audit rows, as long as the settings say; `serve` does so every hour."""
    settings = Settings.read()
    if not (settings.retention_unseen_days or settings.retention_audit_days):
        typer.echo("ONELOOK_RETENTION_UNSEEN_DAYS and ONELOOK_RETENTION_AUDIT_DAYS are 0: everything is kept")
        return
    with open_desk(settings) as desk:
        removed = desk.retain(dry_run=dry_run)
    for person_id in removed.persons:
        typer.echo(person_id)
    would = "would be " if dry_run else ""
    typer.echo(f"{len(removed.persons)} persons {would}erased, {removed.audit_rows} audit rows {would}let go", err=True)
