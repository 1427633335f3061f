"""Whether a process grows: its resident size while it works, and when it has nothing to do."""

import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.report import table, verdict
from benchmarks.service import Service

# Longer than the service waits before it gives memory back.
REST_S = 12.0
MOST_GROWTH = 0.05
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Size:
    """Resident bytes after so many requests: just then, and at rest.

    What the pictures at hand needed is no growth: the service hands it back when it has nothing to do.
    """

    done: int
    busy: int
    at_rest: int


def size_after(service: Service, done: int) -> Size:
    """Waits until the process is at rest; tells standard error too."""
    busy = service.resident_bytes()
    time.sleep(REST_S)
    size = Size(done, busy, service.resident_bytes())
    print(f"{done:6} {size.busy / MIB:8.1f} {size.at_rest / MIB:8.1f} MiB", file=sys.stderr)
    return size


def growth(curve: list[Size], warm_up: int) -> dict[str, Any]:
    """What the report keeps: the curve, and its greatest size at rest in terms of that after the warming up."""
    warm = [size.at_rest for size in curve if size.done >= min(warm_up, curve[-1].done)]
    return {"warm_up": warm_up, "curve": [asdict(size) for size in curve], "greatest_to_first": max(warm) / warm[0]}


def growth_as_text(result: dict[str, Any], what: str) -> tuple[str, str]:
    """The curve and the ratio, in Markdown. what: was sent."""
    rows = [(size["done"], *(f"{size[at] / MIB:.1f}" for at in ("busy", "at_rest"))) for size in result["curve"]]
    ratio = f"greatest resident size at rest after {result['warm_up']} / that at {result['warm_up']}"
    return (
        table((what, "resident MiB just then", "at rest"), rows),
        verdict(ratio, result["greatest_to_first"], 1 + MOST_GROWTH, at_least=False),
    )
