"""The arithmetic of docs/scaling.md: from measured constants to machines. Pure; `benchmarks/scaling.py` feeds it."""

import math
from dataclasses import dataclass
from itertools import pairwise

MIB = 2**20
# What a machine is loaded with at the worst minute: the rest is for bursts, and for the machine that is down.
LOAD = 0.6
# A template lies in the index of everybody, and in that of its gallery.
COPIES = 2


@dataclass(frozen=True, slots=True)
class Constants:
    """Measured on one kind of core. Times in milliseconds of one core, sizes in bytes.

    look_ms: all that an identification takes but the search; search_ms: by templates compared, ascending; head_ms: of
    the database, for each look; write_ms: until an enrolment is acknowledged, writers being serial.
    """

    look_ms: float
    search_ms: tuple[tuple[int, float], ...]
    template_bytes: float
    process_bytes: float
    head_ms: float
    write_ms: float


@dataclass(frozen=True, slots=True)
class Site:
    """What is to be served. compared: templates that one face is compared with; looks: of one door at its worst."""

    templates: int
    compared: int
    doors: int
    looks_a_minute: float


@dataclass(frozen=True, slots=True)
class Machine:
    """One kind of machine: cores like the measured one, and memory that the service may use."""

    name: str
    cores: int
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What the arithmetic says. shards: PostgreSQL servers that the galleries are spread over."""

    looks_a_second: float
    search_ms: float
    cores: float
    shards: int
    machines: int
    memory_bytes: float
    wait_p99_ms: float
    database_share: float
    first_limit: str


def search_ms(constants: Constants, templates: int) -> float:
    """Milliseconds of one search, along straight lines between the sizes that were measured, and beyond the last."""
    points = ((0, 0.0), *constants.search_ms)
    for (low, low_ms), (high, high_ms) in pairwise(points):
        if templates <= high:
            return low_ms + (high_ms - low_ms) * (templates - low) / (high - low)
    (low, low_ms), (high, high_ms) = points[-2:]
    return high_ms + (high_ms - low_ms) * (templates - high) / (high - low)


def plan(constants: Constants, site: Site, machine: Machine) -> Plan:
    """Machines for a site, at LOAD, with one to spare.

    One process a machine holds the whole shard; as many shards as its memory asks for. A door belongs to one gallery,
    and a gallery to one shard, so that each look is searched in one place.
    """
    looks = site.doors * site.looks_a_minute / 60
    lookup = search_ms(constants, min(site.compared, site.templates))
    each_ms = constants.look_ms + lookup
    cores = looks * each_ms / 1000 / LOAD
    room = machine.memory_bytes * 0.8 - constants.process_bytes
    shards = max(1, math.ceil(COPIES * site.templates * constants.template_bytes / room))
    busy = max(shards, math.ceil(cores / machine.cores))
    # Every shard needs a machine more than it is busy: one may be down.
    machines = busy + shards
    a_machine = looks / busy
    lanes = machine.cores
    wait = wait_p99_ms(a_machine, each_ms, lanes)
    database = looks / shards * constants.head_ms / 1000
    held = constants.process_bytes + COPIES * site.templates / shards * constants.template_bytes
    return Plan(
        looks, lookup, cores, shards, machines, held, wait, database, _first_limit(cores, machine, held, database)
    )


def waiting_probability(rate: float, service_ms: float, lanes: int) -> float:
    """Erlang's C: the share of looks that wait when they come at random, `rate` a second, at `lanes` lanes."""
    offered = rate * service_ms / 1000
    if offered >= lanes:
        return 1.0
    # By the recursion for Erlang's B, which overflows nowhere.
    blocked = 1.0
    for lane in range(1, lanes + 1):
        blocked = offered * blocked / (lane + offered * blocked)
    return blocked / (1 - offered / lanes * (1 - blocked))


def wait_p99_ms(rate: float, service_ms: float, lanes: int) -> float:
    """What 99 of 100 looks wait at most for a lane; service times are taken as exponential, the safe side."""
    offered = rate * service_ms / 1000
    if offered >= lanes:
        return math.inf
    waits = waiting_probability(rate, service_ms, lanes)
    return 0.0 if waits <= 0.01 else math.log(waits / 0.01) * service_ms / (lanes - offered)


def closed_throughput(clients: int, service_ms: float, lanes: int) -> float:
    """Answers a second where so many clients each ask again as soon as they are answered."""
    return min(clients, lanes) / service_ms * 1000


def _first_limit(cores: float, machine: Machine, held: float, database: float) -> str:
    shares = {
        "cores that encode": cores / machine.cores,
        "memory": held / (0.8 * machine.memory_bytes),
        "the database's freshness checks": database / LOAD,
    }
    return max(shares, key=lambda name: shares[name])
