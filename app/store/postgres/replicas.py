"""Standbys that answer searches: each as long as it keeps up, and none is waited for.

Whether an answer is fresh enough is never a matter of trust: each row of it tells the last change that the standby had
at that moment, and one that lies behind what the primary had acknowledged is thrown away. The watch is there so that
this is rare: it drops a standby that does not confirm changes any more, and takes it back when it does again.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from app.errors import Misconfigured, OnelookError
from app.store.database import Report
from app.store.postgres.failover import name_of, servers_of
from app.store.postgres.standby import ANSWER_WITHIN_S, Standby, StandbyLost, Told
from app.store.unit_of_work import SqlStore

WATCH_EVERY_S = 1.0
OK, NOT_LOOKED_AT = "ok", "not looked at yet"
CONFIRMING = ("sync", "quorum")
_PRIMARY = text("SELECT coalesce(max(seq), 0) AS head, (SELECT system_identifier::text FROM pg_control_system()) AS"
                " system FROM changes")  # fmt: skip
_FOLLOWERS = text("SELECT application_name, sync_state FROM pg_stat_replication")


@dataclass(frozen=True, slots=True)
class _View:
    """What the primary says: its history and last change, its cluster, and name -> whether that standby confirms.

    hidden: this user is not shown who confirms.
    """

    moment: tuple[int, int]
    system: str
    confirms: Mapping[str | None, bool]
    hidden: bool


class Replicas:
    """Fits `vector_search.Helpers`. Thread-safe."""

    def __init__(self, urls: Sequence[str], store: SqlStore, report: Report, *, watch_every_s: float = WATCH_EVERY_S):
        """store: on the primary. report: told once of each change. Raises Misconfigured for what is no URL."""
        self._store, self._report, self._every_s = store, report, watch_every_s
        self._standbys = {name: Standby(server) for name, server in _servers(urls).items()}
        self._states = dict.fromkeys(self._standbys, NOT_LOOKED_AT)
        #: The history that the states are of.
        self._epoch = 0
        self._turn = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watching: threading.Thread | None = None

    def watch(self) -> None:
        """Looks at all of them, and from then on again and again on a thread of its own, until `close`."""
        if self._standbys and self._watching is None:
            self.look()
            self._watching = threading.Thread(target=self._watch, name="onelook-replicas", daemon=True)
            self._watching.start()

    def states(self) -> dict[str, str]:
        """Place of each standby -> `ok`, or why it is not asked."""
        return dict(self._states)

    def ask(self, query: TextClause, values: dict[str, Any], moment: tuple[int, int]) -> Sequence[Row[Any]] | None:
        """The rows from one of the standbys in turn, each with `reached`, none older than the moment; None: nobody."""
        epoch, seq = moment
        serving = [name for name, state in self._states.items() if state == OK] if epoch == self._epoch else []
        if not serving:
            return None
        self._turn += 1
        name = serving[self._turn % len(serving)]
        try:
            rows = self._standbys[name].ask(query, values)
        except (OnelookError, SQLAlchemyError) as e:
            self._settle(name, f"cannot be asked ({type(e).__name__})")
            return None
        # No row tells nothing of how far it is: a standby that lacks the only one looks the same.
        if not rows or epoch != self._epoch:
            return None
        if rows[0].reached < seq:
            self._settle(name, f"at change {rows[0].reached} of {seq}")
            return None
        return rows

    def close(self) -> None:
        """Ends the watch and the connections."""
        self._closed.set()
        if self._watching is not None:
            self._watching.join(2 * ANSWER_WITHIN_S)
        for standby in self._standbys.values():
            standby.close()

    def look(self) -> None:
        """Asks the primary who confirms its changes, and each standby how far it is."""
        try:
            view = self._primary()
        except (OnelookError, SQLAlchemyError):
            # Without a primary nothing is searched anyway: nobody knows what is the last change.
            return
        judged = {name: self._judge(standby, view) for name, standby in self._standbys.items()}
        for name, state in judged.items():
            self._settle(name, state)
        self._epoch = view.moment[0]

    def _primary(self) -> _View:
        with self._store.read() as uow:
            row = uow.connection.execute(_PRIMARY).one()
            epoch = uow.changes.epoch()
            confirms: dict[str | None, bool] = {}
            followers = uow.connection.execute(_FOLLOWERS).all()
            for name, sync_state in followers:
                # Of two under one name neither is known from the other.
                confirms[name] = confirms.get(name, True) and sync_state in CONFIRMING
        hidden = any(sync_state is None for _, sync_state in followers)
        return _View((epoch, row.head), row.system, confirms, hidden)

    def _judge(self, standby: Standby, view: _View) -> str:
        try:
            told = standby.tell()
        except StandbyLost as e:
            standby.cut()
            return str(e)
        return _fault(told, view) or OK

    def _settle(self, name: str, state: str) -> None:
        with self._lock:
            before, self._states[name] = self._states[name], state
        # How far behind it is changes all the time, and is told once.
        if (before == OK) != (state == OK) or before == NOT_LOOKED_AT:
            what = "helps to search" if state == OK else f"is not asked: {state}. The primary answers instead"
            self._report(f"the standby {name} {what}")

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s):
            with suppress(Exception):
                self.look()


def _fault(told: Told, view: _View) -> str | None:
    if told.system != view.system:
        return "it belongs to another cluster than the primary"
    if not told.in_recovery:
        return "it is no standby"
    if view.hidden:
        return "who confirms is not shown to this user: GRANT pg_read_all_stats TO it"
    if not view.confirms.get(told.name, False):
        return f"the primary does not list it ({told.name}) as synchronous"
    if told.reached < view.moment[1]:
        return f"at change {told.reached} of {view.moment[1]}"
    return None


def _servers(urls: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for url in urls:
        servers = servers_of(url, "ONELOOK_REPLICA_URLS")
        if len(servers) != 1 or name_of(servers[0]) in found:
            raise Misconfigured("ONELOOK_REPLICA_URLS: each URL names one server, and none is named twice")
        found[name_of(servers[0])] = servers[0]
    return found
