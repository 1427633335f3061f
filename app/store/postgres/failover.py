"""Which of several PostgreSQL servers is the primary: the one that takes changes and has the newest history."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads

from app.errors import Misconfigured, StoreAway
from app.store.database import Report, from_json
from app.store.postgres.timelines import TimelineMemory

# How long a look at all servers is believed, when nothing went wrong since; and when no primary was found.
PRIMARY_BELIEVED_S, NONE_BELIEVED_S = 10.0, 1.0
# How often somebody looks: an old primary that was only cut off, and not ended, is left after that time.
WATCH_EVERY_S = 2.0

_UNLESS_TOLD = {
    "application_name": "onelook",
    "connect_timeout": "3",
    # A server whose machine is gone sends nothing: without these a query would wait for hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_PROBE = """
    SELECT pg_is_in_recovery(), system_identifier::text, current_setting('synchronous_standby_names'),
           CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END
    FROM pg_control_system()
"""


class PrimaryConnection(psycopg.Connection[TupleRow]):
    """A connection to a server that was the primary when it was made."""

    #: The timeline that the server was on.
    timeline = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a server says of itself; `timeline` is 0 in recovery."""

    in_recovery: bool
    system: str
    timeline: int
    synchronous: bool


class _RefusedServerError(Exception):
    """Why a server is not taken; the text holds no secret."""


class _StandbyError(_RefusedServerError):
    """It is a standby, as it should be where another server is the primary."""


class Servers:
    """The servers of a URL. Thread-safe.

    A server in recovery is never taken. Of the others the one on the newest timeline is, and none that is on an older
    one than was ever seen: it is a primary that was replaced, and does not know it. Raises Misconfigured.
    """

    def __init__(self, url: str, timelines: Path | None, report: Report) -> None:
        self._servers = servers_of(url)
        self._report = report
        self._memory = TimelineMemory(timelines, report)
        self._memory.refresh()
        self._adapters = AdaptersMap(psycopg.adapters)
        set_json_loads(from_json, self._adapters)
        self._looking = threading.Lock()
        self._found: Mapping[str, Any] | None = None
        self._believed_until = 0.0
        self._told = ""
        self._closed = threading.Event()

    @property
    def timeline(self) -> int:
        """The newest timeline that was seen."""
        return self._memory.timeline

    def connect(self) -> PrimaryConnection:
        """A connection to the primary, in autocommit. Raises StoreAway when none is found."""
        for _ in range(2):
            server = self._primary()
            if server is None:
                break
            try:
                return self._enter(server)
            except (_RefusedServerError, psycopg.Error) as e:
                # It was the primary a moment ago: look again.
                self.lost()
                self._tell(f"the database {name_of(server)} cannot be used: {_reason(e)}")
        raise StoreAway from _RefusedServerError(self._told)

    def lost(self) -> None:
        """Told that a connection ended: the next one looks at all servers again."""
        self._believed_until = 0.0

    def watch(self) -> None:
        """Looks from time to time, on a thread of its own, until `close`; with one server there is nothing to see."""
        if len(self._servers) > 1:
            threading.Thread(target=self._watch, name="onelook-primary", daemon=True).start()

    def close(self) -> None:
        """Ends the watch."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(WATCH_EVERY_S):
            with self._looking, suppress(Exception):
                self._look()

    def _primary(self) -> Mapping[str, Any] | None:
        if len(self._servers) == 1:
            return self._servers[0]
        if time.monotonic() < self._believed_until:
            return self._found
        with self._looking:
            # Somebody may have looked while we waited.
            if time.monotonic() >= self._believed_until:
                self._look()
            return self._found

    def _look(self) -> None:
        """Asks every server."""
        self._memory.refresh()
        best: tuple[Standing, Mapping[str, Any]] | None = None
        reasons: list[str] = []
        standbys: list[str] = []
        for server in self._servers:
            try:
                with self._open(server) as connection:
                    standing = _probe(connection)
                self._judge(standing)
            except (_RefusedServerError, psycopg.Error) as e:
                told = standbys if isinstance(e, _StandbyError) else reasons
                told.append(f"{name_of(server)}: {_reason(e)}")
                continue
            if best is None or standing.timeline > best[0].timeline:
                best = standing, server
        if best is None:
            self._found, self._believed_until = None, time.monotonic() + NONE_BELIEVED_S
            self._tell("; ".join(["database: no primary was found", *reasons, *standbys]))
            return
        standing, self._found = best
        self._believed_until = time.monotonic() + PRIMARY_BELIEVED_S
        # That all is as it should be is told when it was not.
        if self._told or reasons:
            self._tell("; ".join([f"database: the primary is {name_of(self._found)}", *reasons]))
        self._note(standing, self._found)

    def _enter(self, server: Mapping[str, Any]) -> PrimaryConnection:
        connection = self._open(server)
        try:
            standing = _probe(connection)
            self._judge(standing)
        except BaseException:
            connection.close()
            raise
        self._note(standing, server)
        connection.timeline = standing.timeline
        return connection

    def _note(self, standing: Standing, server: Mapping[str, Any]) -> None:
        """Remembers a primary whose timeline is new; connections to older ones are not used any more."""
        if standing.timeline <= self._memory.timeline:
            return
        self._memory.note(standing.system, standing.timeline)
        if len(self._servers) > 1 and not standing.synchronous:
            self._report(
                f"the database {name_of(server)} has no synchronous_standby_names: should it fail, its standby may "
                "lack changes that were acknowledged"
            )

    def _open(self, server: Mapping[str, Any]) -> PrimaryConnection:
        # Prepared when they are first sent: the connections are kept, and the statements few.
        return PrimaryConnection.connect(autocommit=True, prepare_threshold=0, context=self._adapters, **server)

    def _judge(self, standing: Standing) -> None:
        """Raises _RefusedServerError unless that is a primary of our cluster on the newest timeline."""
        memory = self._memory
        if memory.system not in (None, standing.system):
            where = "" if memory.path is None else f" (should that be meant, remove {memory.path})"
            raise _RefusedServerError(f"it belongs to another cluster than before{where}")
        if standing.in_recovery:
            raise _StandbyError("it is a standby")
        if standing.timeline < memory.timeline:
            raise _RefusedServerError(
                f"it is on timeline {standing.timeline}, and timeline {memory.timeline} was seen: an old primary that "
                "was replaced. Nothing is written to it; make it a standby of the new one"
            )

    def _tell(self, text: str) -> None:
        # Once for each change, not at each look.
        if text != self._told:
            self._told = text
            self._report(text)


def servers_of(url: str, setting: str = "ONELOOK_DATABASE_URL") -> list[dict[str, str]]:
    """The parameters of a connection to each of the servers that the URL of a setting names. Raises Misconfigured."""
    scheme, separator, rest = url.partition("://")
    try:
        given = conninfo_to_dict(f"{scheme.partition('+')[0]}{separator}{rest}")
    except psycopg.ProgrammingError:
        # Its text repeats the URL, and so the password.
        raise Misconfigured(
            f"{setting} is no URL of PostgreSQL: postgresql://user:password@host1:5432,host2:5432/database"
        ) from None
    told = {name: str(value) for name, value in given.items() if value is not None}
    # Ours is stricter, and each server is asked by itself.
    told.pop("target_session_attrs", None)
    lists = {name: told.pop(name).split(",") for name in ("host", "hostaddr", "port") if name in told}
    count = max((len(values) for values in lists.values()), default=1)
    if any(len(values) not in (1, count) for values in lists.values()):
        raise Misconfigured(f"{setting} must name one port for each host, or one for all of them")
    apart = [{name: values[n % len(values)] for name, values in lists.items()} for n in range(count)]
    return [{**_UNLESS_TOLD, **told, **{k: v for k, v in server.items() if v}} for server in apart]


def name_of(server: Mapping[str, Any]) -> str:
    """Host and port: what a server is called in what is reported."""
    return f"{server.get('host') or server.get('hostaddr', 'localhost')}:{server.get('port', '5432')}"


def _probe(connection: PrimaryConnection) -> Standing:
    row = connection.execute(_PROBE, prepare=False).fetchone()
    assert row is not None
    in_recovery, system, standbys, log_file = row
    # The name of a file of the log begins with the timeline, in eight hexadecimal digits.
    return Standing(in_recovery, system, int(log_file[:8], 16) if log_file else 0, bool(standbys.strip()))


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
