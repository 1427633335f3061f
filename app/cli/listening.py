"""Ports, certificates and limits of the process, looked at before anything slow is begun."""

import errno
import socket
import ssl
import sys

from app.errors import Misconfigured
from app.settings import Settings

WANTED_FILES = 65_536


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """One TCP socket for each address of the host, bound and not yet listening; port 0: one free port for all.

    Raises Misconfigured when the port is taken or the address is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as e:
        raise Misconfigured(f"ONELOOK_HOST: {host} is no address or name that is known here") from e
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            taken = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(family, (address[0], taken, *address[2:])))
        except OSError as e:
            if e.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                close(sockets)
                raise Misconfigured(_why(e, host, port)) from e
            missing = e  # `localhost` has an IPv6 address on machines that have none
    if not sockets:
        raise Misconfigured(_why(missing, host, port))
    return sockets


def close(sockets: list[socket.socket]) -> None:
    """Lets go of them."""
    for one in sockets:
        one.close()


def check_tls(settings: Settings) -> None:
    """Raises Misconfigured when certificate and key cannot be read or do not belong together."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    for path in (settings.tls_cert, settings.tls_key):
        try:
            path.read_bytes()
        except OSError as e:
            raise Misconfigured(f"{path} cannot be read: {e.strerror}") from e
    try:
        # A password would be asked for on a terminal that a service does not have.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (ssl.SSLError, ValueError) as e:
        why = getattr(e, "reason", None) or "no PEM, or a key that has a password"
        raise Misconfigured(f"{settings.tls_cert} and {settings.tls_key} are no certificate and its key: {why}") from e


def raise_file_limit() -> None:
    """Each connection is an open file: takes as many as the machine allows without asking."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform != "win32":  # there it would let two services have one port
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one


def _why(error: OSError | None, host: str, port: int) -> str:
    number = None if error is None else error.errno
    if number == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: stop what listens there, or set ONELOOK_PORT to another"
    if number == errno.EACCES:
        return f"port {port} may be used by the administrator only: set ONELOOK_PORT to 1024 or more"
    if number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"ONELOOK_HOST: {host} is no address of this machine"
    return f"cannot listen on port {port} of {host}: {None if error is None else error.strerror}"
