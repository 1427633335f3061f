"""`onelook serve`."""

import os
import signal
import socket
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import typer

from app.cli.api_process import leave_at_once, run
from app.cli.listening import bound_sockets, check_tls, raise_file_limit
from app.cli.style_workers import StyleWorkers
from app.errors import Misconfigured
from app.settings import Settings

if TYPE_CHECKING:
    from app.routes.log import Log


def serve() -> None:
    """Run the service until it is told to stop (Ctrl-C or SIGTERM): what runs gets time to finish."""
    signal.signal(signal.SIGTERM, leave_at_once)
    settings = Settings.read()
    if settings.workers > 1 and os.name != "posix":
        raise Misconfigured("ONELOOK_WORKERS above 1 needs a POSIX system: leave it out here")
    check_tls(settings)
    sockets = bound_sockets(settings.host, settings.port)
    port = sockets[0].getsockname()[1]
    raise_file_limit()
    from app.routes.log import make_log

    log = make_log(settings.log_format, settings.log_level)
    beside = StyleWorkers(settings, log)
    try:
        _serve(settings, sockets, port, log, beside)
    finally:
        beside.close()


def _serve(settings: Settings, sockets: Sequence[socket.socket], port: int, log: "Log", beside: StyleWorkers) -> None:
    """Serves in this process or in several, and has the style workers begin once the service serves."""
    if settings.workers > 1:
        from app.cli.supervisor import Supervisor

        def announce() -> None:
            _announce(settings, port)
            beside.start()

        if status := Supervisor(settings, sockets, log, announce, ending=beside.end).run():
            raise typer.Exit(status)
        return
    # Only now what takes seconds: a port that is taken is told at once.
    from app.assembly.parts import build_parts

    listening = partial(_announce, settings, port)
    run(settings, sockets, build_parts(settings), log, listening=listening, serving=beside.start, ending=beside.end)


def _announce(settings: Settings, port: int) -> None:
    scheme = "http" if settings.tls_cert is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    typer.echo(f"Onelook listens at {scheme}://{host}:{port}, explained at /docs", err=True)
    typer.echo(f"The admin key lies in {settings.home / 'admin.key'}", err=True)
