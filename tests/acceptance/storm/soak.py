"""A whole storm on one engine: from the first process to the last row, and what came of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine

from tests.acceptance.storm.fleet import Killer
from tests.acceptance.storm.sweep import sweep_processes, sweep_tables, sweep_trail
from tests.acceptance.storm.talker import Talker
from tests.acceptance.storm.weather import Storm, begin, wait_for_acts

PROCESSES = 4
TELL_EVERY_S = 15.0


@dataclass(frozen=True)
class Ground:
    """On what the storm rages: the settings of each process, and how to read the tables without the service."""

    engine: str
    settings: list[dict[str, Any]]
    rows_url: str
    keys_url: str
    keys_schema: str | None = None


@dataclass
class Outcome:
    """What was done, and what was wrong."""

    engine: str
    seed: int
    wall_s: float = 0.0
    acts: dict[str, int] = field(default_factory=dict)
    real_acts: int = 0
    kills: int = 0
    strikes: dict[str, int] = field(default_factory=dict)
    start_s: float = 0.0
    traffic: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    undecided: list[str] = field(default_factory=list)
    unproved: int = 0
    living: int = 0
    erased: int = 0
    swept: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    trail_rows: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def checked(self) -> int:
        """Acts whose answers were all checked."""
        return sum(self.acts.values())

    @property
    def wrong(self) -> list[str]:
        """Every fault in words."""
        return [f"{name}: {text}" for name, texts in self.faults.items() for text in texts]


def on_sqlite(folder: Path) -> Ground:
    """All processes over one home."""
    home = folder / "home"
    url = f"sqlite:///{home / 'onelook.db'}"
    return Ground("SQLite", [{"home": home}] * PROCESSES, url, f"sqlite:///{home / 'keys' / 'people.db'}")


def on_postgresql(folder: Path, url: str, processes: int = PROCESSES) -> Ground:
    """Each process with a home of its own over one database; only the master key is in common."""
    keys = folder / "master.key"
    settings = [
        {"home": folder / f"home-{number}", "database_url": url, "master_key_file": keys} for number in range(processes)
    ]
    return Ground("PostgreSQL", settings, url, url, "onelook_keys")


def storm_on(
    ground: Ground,
    folder: Path,
    *,
    acts: int,
    seed: int,
    lease_s: float | None = None,
    timeout_s: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Lets the storm rage until so many acts are checked, sweeps, and ends every process."""
    began = time.monotonic()
    outcome = Outcome(ground.engine, seed)
    with started(ground, folder, seed=seed, lease_s=lease_s) as storm:
        killer, ended = Killer(storm.fleet, seed), threading.Event()
        raging = threading.Thread(target=storm.rage, args=(ended,))
        raging.start()
        killer.start()
        try:
            enough = _wait(storm, acts, timeout_s, outcome.heads, tell)
        finally:
            killer.end()
            ended.set()
            raging.join()
        if not enough:
            storm.ledger.note_undecided(f"only {storm.ledger.checked} of {acts} acts in {timeout_s:.0f} s")
        storm.wait_until_ready()
        tell("the storm is over: everybody is asked for on every process")
        finish(storm, ground, outcome)
        outcome.kills, outcome.strikes = killer.kills, killer.times
    outcome.wall_s = time.monotonic() - began
    return outcome


@contextmanager
def started(ground: Ground, folder: Path, *, seed: int, lease_s: float | None = None) -> Iterator[Storm]:
    """Processes that are ready, ended when the block is left."""
    storm = begin(folder, ground.settings, seed=seed, lease_s=lease_s)
    try:
        yield storm
    finally:
        storm.fleet.close()


def finish(storm: Storm, ground: Ground, outcome: Outcome) -> None:
    """Sweeps processes and tables, and writes down what is known."""
    ledger = storm.ledger
    with closing(storm.talker("auditor")) as talker:
        outcome.heads.append(_head(talker))
        outcome.trail_rows = sweep_trail(talker, ledger, outcome.heads)
    outcome.swept = sweep_processes(storm.fleet, ledger, storm.key, storm.traffic)
    rows, keys = _reading(ground.rows_url), _reading(ground.keys_url)
    try:
        outcome.rows = sweep_tables(rows, keys, ground.keys_schema, ledger)
    finally:
        rows.dispose()
        keys.dispose()
    for death in storm.fleet.deaths:
        ledger.blame("unexpected", death)
    outcome.acts, outcome.real_acts = dict(sorted(ledger.acts.items())), ledger.real_acts
    outcome.faults, outcome.undecided, outcome.unproved = ledger.faults, ledger.undecided, ledger.unproved
    outcome.living, outcome.erased = len(ledger.living), len(ledger.erased)
    outcome.traffic = dict(sorted(storm.traffic.counts.items()))
    outcome.start_s = sorted(storm.fleet.starts_s)[len(storm.fleet.starts_s) // 2]


def _wait(storm: Storm, acts: int, timeout_s: float, heads: list[str], tell: Callable[[str], None]) -> bool:
    """Until so many acts are checked; False when the time was over first. Now and then the trail's head is signed."""
    deadline = time.monotonic() + timeout_s
    with closing(storm.talker("notary")) as talker:
        while time.monotonic() < deadline:
            if wait_for_acts(storm, acts, min(TELL_EVERY_S, deadline - time.monotonic())):
                return True
            heads.append(_head(talker))
            faults = sum(map(len, storm.ledger.faults.values()))
            tell(f"{storm.ledger.checked} acts checked, {len(storm.ledger.living)} living, {faults} faults")
    return False


def _head(talker: Talker) -> str:
    """The audit trail's end, signed."""
    token: str = talker.ask("GET", "/audit/head").body["token"]
    return token


def _reading(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
