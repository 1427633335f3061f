"""`onelook audit`: the trail of what was done, listed, checked, and its head signed."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.duplicates import duplicates
from app.cli.home import open_rows
from app.cli.plainly import REFUSED, shown
from app.errors import InvalidField
from app.settings import Settings

if TYPE_CHECKING:
    from app.domain.audit import Head, Record

LEAST_WIDTH = 150
ZONED = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]

app = typer.Typer(help="Look at the audit trail, check it, and sign its head.", no_args_is_help=True)
app.command()(duplicates)


@app.command()
def verify(
    head: Annotated[
        Path | None, typer.Option(help="file with a head that `onelook audit head` signed: a trail cut since shows")
    ] = None,
) -> None:
    """Go over the whole trail; 1 when any row was edited, removed, reordered or cut off."""
    signed = None if head is None else _read_head(head)
    with open_rows(Settings.read()) as store:
        from app.actions.audit import VerifyAudit

        verdict = VerifyAudit(store)(signed)
    for fault in verdict.faults:
        typer.echo(f"row {fault.seq}: {fault.fault}: {fault.detail}")
    if verdict.found > len(verdict.faults):
        typer.echo(f"and {verdict.found - len(verdict.faults)} more")
    if verdict.met_head is False and verdict.ok:
        typer.echo("the row that the head names is there no more: retention let it go", err=True)
    typer.echo(f"{verdict.rows} rows, {verdict.first} to {verdict.last}: {'ok' if verdict.ok else 'NOT as written'}")
    if not verdict.ok:
        raise typer.Exit(REFUSED)


@app.command("head")
def sign_head() -> None:
    """Print the last row, signed; keep it elsewhere, and give it to `onelook audit verify --head` one day."""
    with open_rows(Settings.read()) as store:
        from app.actions.audit import SignHead

        typer.echo(SignHead(store)().token)


@app.command("list")
def list_(
    actor: Annotated[str | None, typer.Option(help="who did it: a key's id, local, service or retention")] = None,
    action: Annotated[str | None, typer.Option(help="what was done, such as face.identified")] = None,
    since: Annotated[datetime | None, typer.Option(formats=ZONED, help="not before; with its zone")] = None,
    until: Annotated[datetime | None, typer.Option(formats=ZONED, help="before; with its zone")] = None,
    person: Annotated[str | None, typer.Option(help="the id of whom it tells; somebody erased is not found")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="rows at most, the newest ones")] = 50,
) -> None:
    """List what was done, newest first."""
    from app.domain.audit import AuditFilter

    with open_rows(Settings.read()) as store:
        from app.actions.audit import ListAudit

        records = ListAudit(store)(AuditFilter(actor, action, since, until, person), before=None, limit=limit)
    table = Table("seq", "at", "actor", "action", "outcome", "where", "person", "facts")
    for record in records:
        table.add_row(*(Text(shown(cell)) for cell in _cells(record)))
    # A pipe has 80 columns, in which an id would be broken.
    Console(width=max(Console().width, LEAST_WIDTH)).print(table)


def _cells(record: "Record") -> tuple[str, ...]:
    from app.domain.audit import as_json

    line = record.line
    where = " ".join(filter(None, (line.gallery, line.door)))
    person = "shredded" if record.shredded else record.person_id or ""
    facts = as_json({**line.facts, **record.private})
    return (str(line.seq), f"{line.at:%Y-%m-%d %H:%M:%SZ}", line.actor, line.action, line.outcome, where, person, facts)


def _read_head(path: Path) -> "Head":
    from app.domain.audit import Head

    try:
        return Head.from_token(path.read_text(encoding="ascii"))
    except ValueError as e:
        raise InvalidField("head", f"{path} does not hold what `onelook audit head` printed.") from e
