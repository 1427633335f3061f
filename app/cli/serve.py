"""`onelook serve`."""

import gc
import logging
import math
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from app.cli.listening import bound_sockets, check_tls, raise_file_limit
from app.cli.plainly import REFUSED, told
from app.errors import Misconfigured
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Config, Server

    from app.routes.gate import Gate
    from app.routes.log import Log

BACKLOG = 2048
IDLE_CONNECTION_S = 15
# New objects before the collector looks at them; by default 700, which one request makes several times over.
COLLECT_AFTER = 50_000


def serve() -> None:
    """Run the service until it is told to stop (Ctrl-C or SIGTERM): what runs gets time to finish."""
    signal.signal(signal.SIGTERM, _leave)
    settings = Settings.read()
    check_tls(settings)
    sockets = bound_sockets(settings.host, settings.port)
    raise_file_limit()
    # Only now what takes seconds: a port that is taken is told at once.
    from app.main import build_parts, create_app
    from app.routes.log import make_log

    log = make_log(settings.log_format, settings.log_level)
    _log_libraries(log)
    app = create_app(settings, build_parts(settings), log=log)
    server = _server(_config(settings, app), app.state.gate)
    _spare_the_collector()
    try:
        for one in sockets:
            one.listen(BACKLOG)
    except OSError as e:
        raise Misconfigured(f"port {settings.port} was taken meanwhile: {e.strerror}") from e
    _announce(settings, sockets[0].getsockname()[1])
    # uvicorn handles both signals while it runs and raises them again at its end, when all is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        server.run(sockets)
    except SystemExit as e:
        raise told("the service could not start: its log says why", REFUSED) from e


def _spare_the_collector() -> None:
    """Keeps the cyclic garbage collector from walking torch's and FastAPI's objects again and again.

    They are made once and never become garbage; without this every tenth part of a request's processor time went into
    looking at them (`python -m benchmarks.identify_http`, CPU ms an answer). What requests leave behind is nearly
    always freed by counting references; the collector still comes, after more of it has gathered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)


def _server(config: "Config", gate: "Gate") -> "Server":
    """The server that closes the gate at the signal: uvicorn's own would let new work in until the old has ended."""
    from uvicorn import Server

    class GatedServer(Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            gate.stop()
            super().handle_exit(sig, frame)

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


def _announce(settings: Settings, port: int) -> None:
    scheme = "http" if settings.tls_cert is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    typer.echo(f"Onelook listens at {scheme}://{host}:{port}, explained at /docs", err=True)
    typer.echo(f"The admin key lies in {settings.home / 'admin.key'}", err=True)


def _leave(number: int, frame: FrameType | None) -> None:
    """Before there is anything to finish."""
    raise SystemExit(0)


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
