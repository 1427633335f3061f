"""Checks of the machine: Python, clock, files, port and certificate."""

import http.client
import ssl
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.cli.finding import Finding, failure, ok, warning
from app.cli.listening import bound_sockets, check_tls, close
from app.errors import Misconfigured
from app.settings import Settings

FIRST_PYTHON, BEYOND_PYTHON = (3, 11), (3, 14)
FEWEST_FILES, ENOUGH_FILES = 256, 1024
CLOCK_TOLERANCE_S = 60
CERTIFICATE_DAYS = 30
ANSWER_S = 2.0


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether this Python is one that is supported."""
    text = ".".join(map(str, version))
    if FIRST_PYTHON <= version[:2] < BEYOND_PYTHON:
        return ok(text)
    return failure(f"{text}: Onelook needs 3.11, 3.12 or 3.13; make the virtual environment with one of them")


def clock(now_s: float | None = None, file: Path = Path(__file__)) -> Finding:
    """Whether the clock lies behind a file that was certainly written before now."""
    now_s = time.time() if now_s is None else now_s
    behind_s = file.stat().st_mtime - now_s
    text = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M} UTC"
    if behind_s > CLOCK_TOLERANCE_S:
        return failure(f"{text}, {behind_s / 60:.0f} minutes before {file.name} was written: set the clock (NTP)")
    return ok(text)


def open_files() -> Finding:
    """How many connections and files the process may have open."""
    if sys.platform == "win32":
        return ok("not limited")
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= ENOUGH_FILES:
        return ok("not limited" if hard == resource.RLIM_INFINITY else f"{hard} allowed")
    text = f"only {hard} allowed: raise the limit (ulimit -Hn {ENOUGH_FILES}, or LimitNOFILE= of the service)"
    return failure(text) if hard < FEWEST_FILES else warning(text)


def tls(settings: Settings) -> Finding:
    """Whether certificate and key can be read, belong together, are valid now, and the key is kept to ourselves."""
    if settings.tls_cert is None or settings.tls_key is None:
        proxies = ", ".join(settings.trusted_proxies)
        return ok(f"none; {proxies} must encrypt" if proxies else f"none, and {settings.host} stays on this machine")
    check_tls(settings)
    from cryptography import x509

    certificate = x509.load_pem_x509_certificates(settings.tls_cert.read_bytes())[0]
    now, ends = datetime.now(UTC), certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < ends:
        return failure(f"{settings.tls_cert} is valid from {certificate.not_valid_before_utc} to {ends}: get a new one")
    if settings.tls_key.stat().st_mode & 0o077:
        return warning(f"{settings.tls_key} can be read by others: chmod 600 {settings.tls_key}")
    if ends - now < timedelta(days=CERTIFICATE_DAYS):
        return warning(f"{settings.tls_cert} ends at {ends}: renew it")
    return ok(f"{settings.tls_cert}, valid until {ends:%Y-%m-%d}")


def port(settings: Settings) -> Finding:
    """Whether the service could listen there, or listens there already."""
    where = f"{settings.host}:{settings.port}"
    try:
        close(bound_sockets(settings.host, settings.port))
    except Misconfigured:
        if _answers(settings):
            return ok(f"Onelook answers at {where} already")
        raise
    return ok(f"{where} is free" if settings.port else "any free one")


def _answers(settings: Settings) -> bool:
    connection: http.client.HTTPConnection
    if settings.tls_cert is None:
        connection = http.client.HTTPConnection(settings.host, settings.port, timeout=ANSWER_S)
    else:
        context = ssl.create_default_context()
        # Only to ask who is there: nothing secret is sent, and the name in the certificate is another.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(settings.host, settings.port, timeout=ANSWER_S, context=context)
    try:
        connection.request("GET", "/health/live")
        return b'"live"' in connection.getresponse().read(1000)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
