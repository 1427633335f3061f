"""How many machines a million to a hundred million templates take, and whether that arithmetic is right.

    python -m benchmarks.scaling

Its constants are the results of `benchmarks.identify_http`, `search`, `memory` and `store`. Writes docs/scaling.md.
"""

import heapq
import json
import random
from typing import Any

from benchmarks.capacity import (
    COPIES,
    LOAD,
    MIB,
    Constants,
    Machine,
    Site,
    closed_throughput,
    plan,
    search_ms,
    wait_p99_ms,
    waiting_probability,
)
from benchmarks.report import RESULTS, put_between_markers, table
from benchmarks.service import REPOSITORY

PAGE = REPOSITORY / "docs" / "scaling.md"
OPERATIONS = REPOSITORY / "docs" / "operations.md"
GIB = 2**30
# What the search took is in this one's step; it is taken out of `look_ms`.
LOADED = "16, raw body"
MACHINES = (Machine("8 cores, 32 GiB", 8, 32 * GIB), Machine("32 cores, 256 GiB", 32, 256 * GIB))
# A face is compared with a gallery: of a building, say. The last rows compare with everybody, to show what that costs.
SITES = (
    ("1 M templates, 100 doors", Site(1_000_000, 50_000, 100, 20)),
    ("1 M templates, 1,000 doors", Site(1_000_000, 50_000, 1000, 20)),
    ("10 M templates, 1,000 doors", Site(10_000_000, 50_000, 1000, 20)),
    ("100 M templates, 1,000 doors", Site(100_000_000, 50_000, 1000, 20)),
    ("1 M, each look among all", Site(1_000_000, 1_000_000, 1000, 20)),
    ("10 M, each look among all of a shard", Site(10_000_000, 10_000_000, 1000, 20)),
)
ARRIVALS = 200_000
SEED = 8


def main() -> None:
    """Works it out, checks it, and writes the page."""
    constants = measured()
    for name, text in (
        ("constants", as_constants(constants)),
        ("plans", as_plans(constants)),
        ("checks", as_checks(constants)),
    ):
        print(text, end="\n\n")
        put_between_markers(name, text, PAGE)
    put_between_markers("sizing", as_sizing(constants), OPERATIONS)


def measured() -> Constants:
    """The constants as the other benchmarks measured them. FileNotFoundError names the one that was not run."""
    identify, search, memory, store = (_result(name) for name in ("identify_http", "search", "memory", "store"))
    load = identify["loads"][LOADED]
    durable = store["rows"][-1]
    sizes = search["sizes"]
    return Constants(
        look_ms=load["service_cpu_ms"],
        search_ms=tuple((size["size"], size["ways"]["onelook"]["cpu_ms"]) for size in sizes),
        template_bytes=max(size["ways"]["onelook"]["bytes"] for size in sizes),
        # With the templates of that run, which are few.
        process_bytes=max(size["busy"] for size in memory["curve"]),
        head_ms=durable["head_us"]["p50"] / 1000,
        write_ms=durable["enrolment_ms"]["p50"],
    )


def simulated_wait_p99_ms(rate: float, service_ms: float, lanes: int, *, exponential: bool) -> float:
    """The same as `wait_p99_ms`, by letting looks come and be served one by one."""
    chance = random.Random(SEED)
    free = [0.0] * lanes
    now, waits = 0.0, []
    for _ in range(ARRIVALS):
        now += chance.expovariate(rate)
        lane = heapq.heappop(free)
        begun = max(now, lane)
        took = chance.expovariate(1000 / service_ms) if exponential else service_ms / 1000
        heapq.heappush(free, begun + took)
        waits.append(begun - now)
    return sorted(waits)[int(0.99 * len(waits))] * 1000


def fullest_share(galleries: int, shards: int) -> float:
    """Templates of the fullest shard over the mean, when galleries of very different size go where there is room."""
    chance = random.Random(SEED)
    # A few are large and most are small, as buildings are.
    sizes = sorted((chance.paretovariate(1.2) for _ in range(galleries)), reverse=True)
    held = [0.0] * shards
    for size in sizes:
        held[held.index(min(held))] += size
    return max(held) / (sum(held) / shards)


def as_constants(c: Constants) -> str:
    """The constants, each with the command that measured it."""
    rows = [
        ("an identification without its search, ms of one core", f"{c.look_ms:.1f}", "`benchmarks.identify_http`"),
        *(
            (f"a search among {size:,} templates, ms of one core", f"{ms:.2f}", "`benchmarks.search`")
            for size, ms in c.search_ms
        ),
        ("a template in the index, bytes", f"{c.template_bytes:.0f}", "`benchmarks.search`"),
        ("a process without templates, MiB", f"{c.process_bytes / MIB:.0f}", "`benchmarks.memory`"),
        ("the freshness check, ms of the database", f"{c.head_ms:.2f}", "`benchmarks.store`, with a standby"),
        ("an enrolment until it is acknowledged, ms", f"{c.write_ms:.1f}", "`benchmarks.store`, with a standby"),
    ]
    return table(("constant", "measured", "by"), rows)


def as_sizing(c: Constants) -> str:
    """What one process takes at each size that was measured."""
    rows = []
    for size in _result("search")["sizes"]:
        way, count = size["ways"]["onelook"], size["size"]
        memory = c.process_bytes + COPIES * count * c.template_bytes
        rows.append(
            (
                f"{count:,}",
                f"{memory / GIB:.1f}",
                f"{way['p50_ms']:.2f}",
                f"{way['p99_ms']:.2f}",
                f"{size['cold_start']['fill_s']:.1f}",
            )
        )
    return table(("templates", "memory, GiB", "search p50, ms", "search p99, ms", "start, s"), rows)


def as_plans(c: Constants) -> str:
    """A row a site and kind of machine."""
    rows = []
    for name, site in SITES:
        for machine in MACHINES:
            p = plan(c, site, machine)
            rows.append(
                (
                    name,
                    machine.name,
                    f"{p.looks_a_second:.0f}",
                    f"{p.search_ms:.2f}",
                    f"{p.cores:.1f}",
                    p.shards,
                    p.machines,
                    f"{p.memory_bytes / GIB:.1f}",
                    f"{p.wait_p99_ms:.0f}",
                    f"{100 * p.database_share:.0f} %",
                    p.first_limit,
                )
            )
    header = ("site", "machine", "looks/s", "search, ms", "cores", "shards", "machines", "GiB each", "wait p99, ms")
    return table((*header, "database", "what fills first"), rows)


def as_checks(c: Constants) -> str:
    """What the arithmetic says against what was simulated or measured."""
    rows: list[tuple[object, ...]] = []
    for lanes, share in ((2, 0.3), (2, LOAD), (8, LOAD), (32, LOAD), (8, 0.85)):
        rate = share * lanes * 1000 / c.look_ms
        says = wait_p99_ms(rate, c.look_ms, lanes)
        random_service, steady = (
            simulated_wait_p99_ms(rate, c.look_ms, lanes, exponential=kind) for kind in (True, False)
        )
        about = f"p99 of waiting, {lanes} lanes at {100 * share:.0f} %"
        rows.append((about, f"{says:.0f} ms", f"{random_service:.0f} ms, or {steady:.0f} ms with equal service times"))
    for name, load in _result("identify_http")["loads"].items():
        clients = int(name.partition(",")[0])
        says = closed_throughput(clients, load["service_cpu_ms"], 2)
        rows.append((f"answers/s, {name}, measured", f"{says:.1f}", f"{load['throughput']:.1f}"))
    *known, (size, ms) = c.search_ms
    if len(known) > 1:
        fewer = Constants(**{**_fields(c), "search_ms": tuple(known)})
        rows.append((f"search among {size:,}, from smaller ones", f"{search_ms(fewer, size):.1f} ms", f"{ms:.1f} ms"))
    for shards in (4, 16):
        rows.append(
            (f"fullest of {shards} shards over the mean, 1,000 galleries", "1.00", f"{fullest_share(1000, shards):.2f}")
        )
    waits = waiting_probability(0.5 * 2000 / c.look_ms, c.look_ms, 2)
    rows.append(("share that waits, 2 lanes at 50 % (Erlang: 1/3)", f"{waits:.3f}", "0.333"))
    return table(("what", "the arithmetic", "simulated or measured"), rows)


def _fields(c: Constants) -> dict[str, Any]:
    return {name: getattr(c, name) for name in Constants.__dataclass_fields__}


def _result(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return read


if __name__ == "__main__":
    main()
