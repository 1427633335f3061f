"""One of several API processes: what the supervisor starts. Nobody calls this verb by hand, and no help lists it."""

import json
import os
import shutil
import signal
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.api_process import leave_at_once, run
from app.settings import Settings

if TYPE_CHECKING:
    from app.assembly.parts import Parts

VERB = "serve-share"
# How often the end is asked for, should a signal come at a moment at which signals are ignored.
ASK_EVERY_S = 1.0
# Connections, requests, the batch at hand and the audit each get the grace; then the lanes empty their queue.
GRACES = 4
CLOSING_S = 15.0


def serve_share(
    number: Annotated[int, typer.Option(help="which of the processes this is, from 1")],
    sockets: Annotated[str, typer.Option(help="the descriptors of the bound sockets, with commas between")],
    lifeline: Annotated[int, typer.Option(help="the descriptor of a socket; its other end is the supervisor's")],
    folder: Annotated[Path, typer.Option(help="what the processes share")],
    why: Annotated[str | None, typer.Option(help="how the first process chose the precision")] = None,
) -> None:
    """Serve on sockets that the supervisor bound, as long as it lives."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, leave_at_once)
    settings = Settings.read()
    tie = Lifeline(socket.socket(fileno=lifeline))
    tie.watch(patience_s=GRACES * settings.shutdown_grace_s + CLOSING_S, folder=folder)
    bound = [socket.socket(fileno=int(one)) for one in sockets.split(",")]
    from app.assembly.parts import build_parts
    from app.routes.log import make_log
    from app.routes.metrics import count_in

    count_in(folder, number)
    log = make_log(settings.log_format, settings.log_level, worker=number)
    parts = build_parts(settings, log)
    if why is not None:
        parts = replace(parts, about=replace(parts.about, precision_why=why))
    run(settings, bound, parts, log, shared=folder, serving=lambda: tie.say_that_it_serves(parts))
    if tie.cut:
        shutil.rmtree(folder, ignore_errors=True)


class Lifeline:
    """A socket pair with the supervisor: says once that this process serves, and closes when either of them ends."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        #: Whether the supervisor is gone.
        self.cut = False

    def say_that_it_serves(self, parts: "Parts") -> None:
        """Tells which precision was chosen, and why, so that the processes after this one take the same."""
        told = {"precision": parts.about.precision, "why": parts.about.precision_why}
        self._end.sendall(json.dumps(told).encode() + b"\n")

    def watch(self, patience_s: float, folder: Path | None = None) -> None:
        """From now on the end of the supervisor is the end of this process: its grace, then for good.

        folder: deleted where it comes to that.
        """

        def follow() -> None:
            _until_closed(self._end)
            self.cut = True
            for _ in range(int(patience_s / ASK_EVERY_S)):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(ASK_EVERY_S)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            os._exit(1)

        threading.Thread(target=follow, name="lifeline", daemon=True).start()


def _until_closed(end: socket.socket) -> None:
    try:
        while end.recv(1024):
            pass
    except OSError:
        return
