"""The long storm of renders: 20 jobs, and a kill every few seconds; what came of it as a table.

python -m tests.acceptance.style_storm
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.acceptance.style_storm.storm import Outcome, storm


def main() -> int:
    """0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.style_storm", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--strikes", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="of chance")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onelook-style-") as folder:
        outcome = storm(
            Path(folder),
            **{"jobs": said.jobs, "strikes": said.strikes, "seed": said.seed},
            **{"steps": 400, "step_s": 0.03, "timeout_s": 1800.0},
            tell=lambda text: sys.stderr.write(f"{text}\n") and None,
        )
    sys.stdout.write(told(outcome))
    for fault in outcome.wrong:
        sys.stderr.write(f"{fault}\n")
    return 1 if outcome.wrong else 0


def told(outcome: Outcome) -> str:
    """A line a count."""
    rows = {
        "jobs": outcome.jobs,
        **{f"ended as {status}": count for status, count in sorted(outcome.statuses.items())},
        **{f"kill -9 of {whom}": count for whom, count in sorted(outcome.kills.items())},
        "jobs that were gone on with": outcome.interrupted,
        "steps made again after a kill": outcome.again,
        "events received": outcome.events,
        "streams torn and taken up again": outcome.torn,
        "wall time, s": round(outcome.wall_s),
        "wrong": len(outcome.wrong),
    }
    return "".join(f"{name:34} {value:>8}\n" for name, value in rows.items())


if __name__ == "__main__":
    sys.exit(main())
