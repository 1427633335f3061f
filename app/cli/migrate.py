"""`onelook migrate`."""

import typer

from app.settings import Settings


def migrate() -> None:
    """Bring the database to this version's schema, all of the way or not at all; `serve` does so by itself."""
    settings = Settings.read()
    from app.store import migrate as store

    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    store.migrate(settings.sqlalchemy_url(), timelines=settings.home / "timelines")
    typer.echo("the database is up to date")
