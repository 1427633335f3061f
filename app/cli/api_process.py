"""One API process: the service on sockets that are bound already, until a signal ends it."""

import gc
import logging
import math
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from app.cli.plainly import REFUSED, told
from app.errors import Misconfigured
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Config, Server

    from app.assembly.parts import Parts
    from app.routes.gate import Gate
    from app.routes.log import Log

BACKLOG = 2048
IDLE_CONNECTION_S = 15
# New objects before the collector looks at them; by default 700, which one request makes several times over.
COLLECT_AFTER = 50_000


def run(
    settings: Settings,
    sockets: Sequence[socket.socket],
    parts: "Parts",
    log: "Log",
    *,
    shared: Path | None = None,
    listening: Callable[[], object] = lambda: None,
    serving: Callable[[], object] = lambda: None,
    ending: Callable[[], object] = lambda: None,
) -> None:
    """Serves until SIGTERM or SIGINT, and gives what runs its grace. Raises Misconfigured, typer.Exit.

    parts: closed at the end; shared: as in `create_app`; listening: called once the sockets listen; serving: called
    once requests are taken; ending: called in the handler of the signal, perhaps more than once.
    """
    from app.main import create_app

    _log_libraries(log)
    app = create_app(settings, parts, log=log, shared=shared)
    server = _server(_config(settings, app), app.state.gate, serving, ending)
    _spare_the_collector()
    try:
        for one in sockets:
            one.listen(BACKLOG)
    except OSError as e:
        raise Misconfigured(f"port {settings.port} was taken meanwhile: {e.strerror}") from e
    listening()
    about = parts.about
    log.info("encoder", model_id=parts.reader.model_id, terms=about.terms, precision=about.precision)
    # uvicorn handles both signals while it runs and raises them again at its end, when all is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        server.run(list(sockets))
    except SystemExit as e:
        raise told("the service could not start: its log says why", REFUSED) from e


def leave_at_once(number: int, frame: FrameType | None) -> None:
    """Handles a signal before there is anything to finish."""
    raise SystemExit(0)


def _spare_the_collector() -> None:
    """Keeps the cyclic garbage collector from walking torch's and FastAPI's objects again and again.

    They are made once and never become garbage; without this every tenth part of a request's processor time went into
    looking at them (`python -m benchmarks.identify_http`, CPU ms an answer). What requests leave behind is nearly
    always freed by counting references; the collector still comes, after more of it has gathered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)


def _server(
    config: "Config",
    gate: "Gate",
    serving: Callable[[], object],
    ending: Callable[[], object] = lambda: None,
) -> "Server":
    """The server that closes the gate at the signal: uvicorn's own would let new work in until the old has ended."""
    from uvicorn import Server

    class GatedServer(Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            gate.stop()
            ending()
            super().handle_exit(sig, frame)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            serving()

    return GatedServer(config)


def _config(settings: Settings, app: "FastAPI") -> "Config":
    from uvicorn import Config

    from app.cli.bounded_http import BoundedHttp

    return Config(
        app,
        http=BoundedHttp,
        loop="auto",  # uvloop where there is one
        ws="none",
        lifespan="on",
        workers=1,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_CONNECTION_S,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
    )


class _ToLog(logging.Handler):
    """What libraries say, in the form of our own log, and without values: they may hold what must not be logged."""

    def __init__(self, log: "Log") -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One line: whose record it is, its first line without values, and the fault's kind and place."""
        from app.routes.log import describe_fault

        facts: dict[str, Any] = {"logger": record.name}
        if record.name.startswith("uvicorn"):
            facts["said"] = str(record.msg).partition("\n")[0]
        if record.exc_info and record.exc_info[1] is not None:
            facts["fault"] = describe_fault(record.exc_info[1])
        (self._log.error if record.levelno >= logging.ERROR else self._log.warning)("library", **facts)


def _log_libraries(log: "Log") -> None:
    logging.getLogger().addHandler(_ToLog(log))
