"""The storm itself: clients and a killer, for so many acts."""

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.storm.client import Client
from tests.acceptance.storm.faces import Cast
from tests.acceptance.storm.fleet import Fleet
from tests.acceptance.storm.ledger import Ledger
from tests.acceptance.storm.networks import embeddings_of
from tests.acceptance.storm.talker import Talker, Traffic

REPOSITORY = Path(__file__).resolve().parents[3]
CLIENTS = 8
GALLERIES = ("hall", "yard", "lab")
# After it what is still unknown is counted as undecided.
SETTLING_S = 120.0
COMMON = {
    "key_rate_per_minute": 10_000_000,
    "key_concurrency": 1000,
    "precision": "float32",
    "inference_lanes": 1,
}


@dataclass(eq=False)
class Storm:
    """What stands before the first act: processes that are ready, galleries, a key, and an empty ledger."""

    fleet: Fleet
    ledger: Ledger
    traffic: Traffic
    key: str
    seed: int

    def talker(self, name: str) -> Talker:
        """One more client's connections."""
        return Talker(self.fleet, self.key, random.Random(f"{self.seed} {name} talker"), self.traffic)

    def client(self, name: str) -> tuple[Client, Talker]:
        """One more client, with its connections."""
        talker = self.talker(name)
        return Client(talker, self.ledger, random.Random(f"{self.seed} {name}")), talker

    def rage(self, ended: threading.Event, *, clients: int = CLIENTS) -> None:
        """Lets the clients act until the event comes, and then find out what is still unknown."""
        given_up = threading.Event()
        timer = threading.Timer(SETTLING_S, given_up.set)

        def work(number: int) -> None:
            client, talker = self.client(f"client {number}")
            try:
                while not ended.is_set():
                    client.act()
                client.settle(given_up)
            finally:
                talker.close()

        with ThreadPoolExecutor(clients) as pool:
            working = [pool.submit(work, number) for number in range(clients)]
            ended.wait()
            timer.start()
            for one in working:
                one.result()
        timer.cancel()
        while self.ledger.due(at_once=True) is not None:
            self.ledger.note_undecided("still in progress when the storm was over")

    def is_ready(self, number: int) -> bool:
        """What that process says of itself."""
        talker = self.talker("ready")
        try:
            answer = None if self.fleet.port(number) is None else talker.once("GET", "/health/ready", only=number)
        finally:
            talker.close()
        return answer is not None and answer.status == 200

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Every process."""
        numbers = range(len(self.fleet))
        self.fleet.wait_until(lambda: all(map(self.is_ready, numbers)), "not every process became ready", timeout_s)


def begin(folder: Path, settings: Sequence[dict[str, Any]], *, seed: int, lease_s: float | None = None) -> Storm:
    """Starts the processes, the first one alone: it makes the keys. The fleet must be closed, also when this raises.

    settings: of each process, with its home.
    """
    fleet = Fleet(folder, [{**COMMON, **each} for each in settings], lease_s=lease_s)
    cast = Cast(REPOSITORY / "samples", embeddings_of)
    storm = Storm(fleet, Ledger(cast, GALLERIES), Traffic(), "", seed)
    try:
        fleet.start(0)
        storm.fleet.wait_until(lambda: storm.is_ready(0), "the first process did not become ready")
        storm.key = (Path(settings[0]["home"]) / "admin.key").read_text(encoding="utf-8").strip()
        for number in range(1, len(fleet)):
            fleet.start(number)
        storm.wait_until_ready()
        talker = storm.talker("galleries")
        for gallery in GALLERIES:
            made = talker.ask("POST", "/galleries", said={"id": gallery, "name": gallery.title()})
            assert made.status == 201, made
        talker.close()
    except BaseException:
        fleet.close()
        raise
    return storm


def wait_for_acts(storm: Storm, count: int, timeout_s: float) -> bool:
    """Until so many are checked; False when the time was over first."""
    deadline = time.monotonic() + timeout_s
    while storm.ledger.checked < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return storm.ledger.checked >= count
