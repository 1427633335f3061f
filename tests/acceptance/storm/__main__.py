"""`make soak`: the long storm, on SQLite and on PostgreSQL, and its table in docs/benchmarks.md."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import postgres
from benchmarks.machine import describe, machine
from benchmarks.report import RESULTS, report, table
from tests.acceptance.storm import soak
from tests.acceptance.storm.ledger import FAULTS

ENGINES = ("sqlite", "postgresql")
# What one storm may take, whatever else the machine does.
LONGEST_S = 6 * 3600.0


def main() -> int:
    """0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.storm", description=__doc__)
    parser.add_argument("--acts", type=int, default=10_500, help="acts to check on each engine")
    parser.add_argument("--seed", type=int, default=datetime.now(UTC).timetuple().tm_yday, help="of chance")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this one; the other's column stays")
    said = parser.parse_args()
    path = RESULTS / "storm.json"
    columns: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    faults: list[str] = []
    for engine in said.engine or ENGINES:
        facts = machine()
        with tempfile.TemporaryDirectory(prefix="onelook-storm-") as folder:
            outcome = _storm(engine, Path(folder), said.acts, said.seed)
        columns[engine] = {**asdict(outcome), "machine": facts}
        faults += [*outcome.wrong, *outcome.undecided]
        report("storm", columns, _told(columns))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


def _storm(engine: str, folder: Path, acts: int, seed: int) -> soak.Outcome:
    def tell(text: str) -> None:
        sys.stderr.write(f"{engine}: {text}\n")
        sys.stderr.flush()

    how: dict[str, Any] = {"acts": acts, "seed": seed, "timeout_s": LONGEST_S, "tell": tell}
    if engine == "sqlite":
        return soak.storm_on(soak.on_sqlite(folder), folder, **how)
    with postgres.servers() as servers:
        primary = servers.primary("storm")
        primary.do("CREATE DATABASE onelook")
        return soak.storm_on(soak.on_postgresql(folder, primary.url("onelook")), folder, **how)


def _told(columns: dict[str, Any]) -> str:
    """Both engines side by side."""
    held = [columns[engine] for engine in ENGINES if engine in columns]
    acts = sorted({name for column in held for name in column["acts"]})
    traffic = sorted({name for column in held for name in column["traffic"]})

    def row(name: str, values: list[object]) -> list[object]:
        return [name, *values]

    rows = [row(name, [column["acts"].get(name, 0) for column in held]) for name in acts]
    rows += [
        row("**acts checked**", [f"**{sum(column['acts'].values())}**" for column in held]),
        row("of them on real photos, through the encoder", [column["real_acts"] for column in held]),
        row("processes killed", [column["kills"] for column in held]),
        row("kills of one, two, all at once", [", ".join(map(str, column["strikes"].values())) for column in held]),
        row("start of a process until it listens, median s", [f"{column['start_s']:.1f}" for column in held]),
    ]
    rows += [row(NAMES.get(name, name), [column["traffic"].get(name, 0) for column in held]) for name in traffic]
    rows += [
        row("erasures whose process died before the proof", [column["unproved"] for column in held]),
        row("enrolled in the end / erased", [f"{column['living']} / {column['erased']}" for column in held]),
        row("checks of the last sweep, on every process", [column["swept"] for column in held]),
        row("rows of the audit trail, verified", [column["trail_rows"] for column in held]),
        row("seed", [column["seed"] for column in held]),
        row("wall time, s", [f"{column['wall_s']:.0f}" for column in held]),
    ]
    rows += [row(f"**{name}**", [f"**{len(column['faults'][name])}**" for column in held]) for name in FAULTS]
    rows += [row("**undecided**", [f"**{len(column['undecided'])}**" for column in held])]
    machines = [f"{column['engine']}: {describe(column['machine'])}" for column in held]
    return "\n\n".join([*machines, table(["", *(column["engine"] for column in held)], rows)])


NAMES = {
    "answers": "answers",
    "torn": "requests whose connection died",
    "hung up": "requests that the client itself broke off",
    "replayed": "answers given again to the same Idempotency-Key",
    "503 not_ready": "503 `not_ready`",
    "503 busy": "503 `busy`",
}

if __name__ == "__main__":
    sys.exit(main())
