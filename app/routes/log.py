"""Structured logs: one JSON object a line, or text for people. No secret, no name, no vector, no query string."""

import sys
import traceback
from pathlib import PurePath
from typing import Any, Protocol, TextIO, cast

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
DEEPEST = 12


class Log(Protocol):
    """The part of a structlog logger that is used."""

    def info(self, event: str, **facts: Any) -> Any:
        """Something happened."""
        ...

    def warning(self, event: str, **facts: Any) -> Any:
        """Something that somebody should look at."""
        ...

    def error(self, event: str, **facts: Any) -> Any:
        """Something failed."""
        ...


def make_log(form: str, level: str, out: TextIO | None = None, **always: Any) -> Log:
    """A log that writes to `out`, or to standard output. form: `json` or `console`; always: facts in every line."""
    last = structlog.dev.ConsoleRenderer(colors=False) if form == "console" else structlog.processors.JSONRenderer()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(out or sys.stdout),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
        **always,
    )
    return cast(Log, logger)


def describe_fault(fault: BaseException) -> str:
    """The kinds of error and the places they passed, without their texts: a text may hold what must not be logged."""
    chain: list[str] = []
    seen: BaseException | None = fault
    while seen is not None and len(chain) < DEEPEST:
        frames = traceback.extract_tb(seen.__traceback__)[-DEEPEST:]
        places = " > ".join(f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in frames)
        chain.append(f"{type(seen).__qualname__} at {places}")
        seen = seen.__cause__ or seen.__context__
    return "; because of ".join(chain)
