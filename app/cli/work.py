"""`onelook work`: renders what waits, in a process that answers nobody."""

import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.api_process import leave_at_once
from app.cli.share import CLOSING_S, GRACES, Lifeline
from app.settings import Settings

if TYPE_CHECKING:
    from app.ports import Renderer
    from app.routes.log import Log

# Of 19, which is the last: whoever stands at a door comes first, and a machine at rest renders at full speed.
NICE = 10
# Of 1000: where memory runs out, a render goes before whoever answers; it goes on from its checkpoint.
FIRST_TO_GO = 500


def work(
    number: Annotated[int, typer.Option(help="which of several this is, for the log", min=1)] = 1,
    lifeline: Annotated[int | None, typer.Option(hidden=True, help="the descriptor of a socket of the service")] = None,
) -> None:
    """Render the style jobs that wait, until told to stop (Ctrl-C or SIGTERM): what is rendered by then is kept."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, leave_at_once)
    settings = Settings.read()
    if lifeline is not None:
        tie = Lifeline(socket.socket(fileno=lifeline))
        tie.watch(patience_s=GRACES * settings.shutdown_grace_s + CLOSING_S)
    from app.assembly.style import style_renderer
    from app.routes.log import make_log

    log = make_log(settings.log_format, settings.log_level, style_worker=number)
    run(settings, style_renderer(settings), log)


def run(settings: Settings, renderer: "Renderer", log: "Log", *, lease_s: float | None = None) -> None:
    """Renders until SIGTERM or SIGINT; the step at hand is kept, and the job given back. Raises Misconfigured.

    Lowers the priority of this process. lease_s: as ClaimStyle has it; None: the usual.
    """
    _stand_back()
    ended = threading.Event()
    from app.actions.style.claim import LEASE_S
    from app.assembly.style import style_loop
    from app.inference.footprint import bound_footprint
    from app.store.opening import open_rows

    bound_footprint()
    store = open_rows(settings, log.warning)
    try:
        loop = style_loop(settings, store, renderer, log, lease_s=lease_s or LEASE_S)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: ended.set())
        loop.start()
        log.info("style worker ready", pid=os.getpid())
        ended.wait()
        loop.stop()
        log.info("style worker stopped", everything_kept=loop.join(settings.shutdown_grace_s))
    finally:
        store.close()


def _stand_back() -> None:
    """Lets every other process go first."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
