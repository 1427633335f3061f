"""`onelook keys`: API keys, made, listed and revoked on the home itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.home import open_rows
from app.cli.plainly import shown
from app.cli.rotating import rotate
from app.domain.key import SCOPES, Key
from app.settings import Settings

if TYPE_CHECKING:
    from app.actions.keys import ListKeys

PAGE = 500
LEAST_WIDTH = 150

app = typer.Typer(help="Make, list and revoke API keys; rotate the keys of what is stored.", no_args_is_help=True)
app.command()(rotate)


@app.command()
def make(
    name: Annotated[str, typer.Option(help="whose key it is, or what it is for")],
    scope: Annotated[list[str], typer.Option(help=f"what it may do, repeated: {', '.join(SCOPES)}")],
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="days that it is valid; none: no end")
    ] = None,
    gallery: Annotated[
        list[str] | None, typer.Option(help="the only gallery that it sees and touches, repeated; none: not bound")
    ] = None,
    rate: Annotated[int | None, typer.Option(help="requests a minute; none: ONELOOK_KEY_RATE_PER_MINUTE")] = None,
    concurrency: Annotated[int | None, typer.Option(help="requests at a time; none: ONELOOK_KEY_CONCURRENCY")] = None,
) -> None:
    """Make a key, and print it: the only time that it is shown."""
    settings = Settings.read()
    with open_rows(settings) as store:
        from app.actions.first_key import FirstKey
        from app.actions.keys import MakeKey
        from app.clock import RandomIdentifiers, SystemClock

        make_key = MakeKey(store, SystemClock(), RandomIdentifiers())
        # As the first start of the service does: there is never a home with keys and without an admin key.
        FirstKey(store, make_key, lambda text: typer.echo(text, err=True))(settings.home / "admin.key")
        ends = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
        # No option at all is an empty list to the command line, and no binding to us.
        bound = gallery or None
        _, text = make_key(name, scope, ends, galleries=bound, rate_per_minute=rate, concurrency=concurrency)
    typer.echo(text)


@app.command("list")
def list_() -> None:
    """List every key, revoked ones too; no secret is stored that could be shown."""
    with open_rows(Settings.read()) as store:
        from app.actions.keys import ListKeys

        keys = list(_every(ListKeys(store)))
    table = Table("id", "name", "scopes", "bound to", "a minute", "at a time", "made", "state")
    for key in keys:
        bound = "" if key.galleries is None else " ".join(sorted(key.galleries))
        limits = ("" if limit is None else str(limit) for limit in (key.rate_per_minute, key.concurrency))
        made = f"{key.created_at:%Y-%m-%d}"
        cells = (key.id, shown(key.name), " ".join(sorted(key.scopes)), bound, *limits, made, _state(key))
        table.add_row(*(Text(cell) for cell in cells))
    # A pipe has 80 columns, in which an id would be broken.
    Console(width=max(Console().width, LEAST_WIDTH)).print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="the id that `onelook keys list` shows")]) -> None:
    """End a key at once; the last valid admin key stays."""
    with open_rows(Settings.read()) as store:
        from app.actions.keys import RevokeKey
        from app.clock import SystemClock

        RevokeKey(store, SystemClock())(key_id)
    typer.echo(f"{key_id} is revoked")


def _every(list_keys: "ListKeys") -> Iterator[Key]:
    after: str | None = None
    while page := list_keys(after=after, limit=PAGE):
        yield from page
        after = page[-1].id


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "valid"
    return f"{'expired' if key.expires_at <= datetime.now(UTC) else 'valid until'} {key.expires_at:%Y-%m-%d}"
