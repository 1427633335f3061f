"""What Alembic runs around the versions; `app.store.migrate` hands over the connection, already in its transaction."""

from typing import Any

from alembic import context


def run() -> None:
    """Runs the versions on the caller's connection. The caller commits, so that all of them happen or none."""
    given: dict[str, Any] = context.config.attributes
    if "connection" not in given:
        raise SystemExit("Migrations run by `onelook migrate`, or by themselves when the service starts.")
    context.configure(
        connection=given["connection"],
        target_metadata=given.get("metadata"),
        # SQLite changes tables inside a transaction, if one was really begun; it was.
        transactional_ddl=True,
        # SQLite cannot alter most of a table: Alembic then copies it.
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
