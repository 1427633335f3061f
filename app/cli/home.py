"""The home that the settings name, opened in this process. A running service sees what is written through its feed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from app.domain.actor import LOCAL, acting_as
from app.errors import ImageTooLarge
from app.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from app.routes.desk import Desk
    from app.routes.log import Log
    from app.store.unit_of_work import SqlStore


@contextmanager
def open_desk(settings: Settings) -> "Iterator[Desk]":
    """Every action on the parts that serve, the index filled; closed at the end. Raises Misconfigured."""
    with Console(stderr=True).status("loading the networks"):
        from app.assembly.desk import make_desk
        from app.assembly.parts import build_parts

        parts = build_parts(settings)
    try:
        parts.gallery.rebuild()
        desk = make_desk(settings, parts, warnings())
        try:
            with acting_as(LOCAL):
                yield desk
        finally:
            desk.trail.close(settings.shutdown_grace_s)
    finally:
        parts.close()


@contextmanager
def open_rows(settings: Settings) -> "Iterator[SqlStore]":
    """The rows alone, without the networks; closed at the end. Raises Misconfigured."""
    from app.assembly.parts import open_store

    store = open_store(settings)
    try:
        with acting_as(LOCAL):
            yield store
    finally:
        store.close()


def note(store: "SqlStore", action: str, **facts: "str | int") -> None:
    """Adds one row to the audit trail: that this was done here, on the command line."""
    from app.clock import SystemClock
    from app.domain.audit import Entry

    with store.write() as uow:
        uow.audit.append(Entry(action, SystemClock().now(), facts=facts))
        uow.commit()


def photo(path: "Path", settings: Settings) -> bytes:
    """The bytes of a file that may be a picture. Raises OSError, and ImageTooLarge before it is read."""
    if path.stat().st_size > settings.max_image_bytes:
        raise ImageTooLarge
    return path.read_bytes()


def warnings() -> "Log":
    """A log for people, on standard error, of warnings and errors only."""
    from app.routes.log import make_log

    return make_log("console", "warning", sys.stderr)
