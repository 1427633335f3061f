"""The primary dies under two processes that serve: they say so, wait, and go on with the standby that follows it."""

import threading
import time
from collections import Counter
from itertools import groupby

import pytest

from tests.acceptance.storm import soak
from tests.acceptance.storm.soak import Outcome
from tests.acceptance.storm.weather import wait_for_acts

PROCESSES = 2
CLIENTS = 4
LEASE_S = 3.0
LONGEST_S = 120.0
NOT_READY_WITHIN_S = 10.0
READY_WITHIN_S = 30.0


class Watch(threading.Thread):
    """Asks each process all the time whether it is ready, as a load balancer does."""

    def __init__(self, storm):
        super().__init__(daemon=True)
        self._storm = storm
        self._ended = threading.Event()
        self.told = {number: [] for number in range(PROCESSES)}

    def run(self):
        talker = self._storm.talker("watch")
        while not self._ended.wait(0.1):
            for number, told in self.told.items():
                answer = talker.once("GET", "/health/ready", only=number)
                told.append("torn" if answer is None else answer.status)
        talker.close()

    def all_say(self, status):
        return all(told and told[-1] == status for told in self.told.values())

    def phases(self, number):
        """What it said, without repetitions."""
        return [status for status, _ in groupby(self.told[number])]

    def end(self):
        self._ended.set()
        self.join()


@pytest.fixture
def ground(postgres_pair, tmp_path):
    return soak.on_postgresql(tmp_path, postgres_pair.url, processes=PROCESSES)


@pytest.mark.slow
def test_a_promoted_standby_has_everything_acknowledged__and_the_service_is_not_ready_until_there_is_one(
    ground, postgres_pair, tmp_path
):
    pair = postgres_pair
    with soak.started(ground, tmp_path, seed=1, lease_s=LEASE_S) as storm:
        storm.ledger.may_lose_the_server = True
        watch, ended = Watch(storm), threading.Event()
        raging = threading.Thread(target=storm.rage, args=(ended,), kwargs={"clients": CLIENTS})
        raging.start()
        watch.start()
        try:
            assert wait_for_acts(storm, 50, LONGEST_S)
            pair.primary.kill()
            storm.fleet.wait_until(lambda: watch.all_say(503), "they do not say that they are not ready",
                                   NOT_READY_WITHIN_S)  # fmt: skip
            assert refusals(storm) == {(503, "not_ready"): 6 * PROCESSES}
            pair.standby.promote()
            storm.fleet.wait_until(lambda: watch.all_say(200), "they do not recover", READY_WITHIN_S)
            assert wait_for_acts(storm, storm.ledger.checked + 50, LONGEST_S)
            rows = return_of_the_old_primary(storm, pair)
        finally:
            ended.set()
            raging.join()
            watch.end()
        outcome = Outcome(ground.engine, storm.seed)
        on_the_standby = soak.on_postgresql(tmp_path, pair.standby.url("onelook"))
        soak.finish(storm, on_the_standby, outcome)
        assert outcome.wrong == []
        assert outcome.undecided == []
        assert all(watch.phases(number) == [200, 503, 200] for number in range(PROCESSES)), watch.told
        assert rows == what_it_holds(pair.primary)
        assert all("an old primary that was replaced" in storm.fleet.log(number).read_text() for number in (0, 1))


def refusals(storm):
    """What is answered while there is no primary: nobody is recognized, and nothing is stored."""
    one = storm.ledger.cast.strangers[0]
    talker = storm.talker("meanwhile")
    told = Counter()
    for number in range(PROCESSES):
        picture = one.first(None)
        answers = [
            talker.once("POST", "/identify", image=picture, only=number),
            talker.once("POST", "/enroll", {"name": "Nobody", "person_id": "nobody"}, image=picture, only=number),
            talker.once("POST", "/verify", {"person_id": "nobody"}, image=picture, only=number),
            talker.once("GET", "/persons/nobody", only=number),
            talker.once("DELETE", "/persons/nobody", only=number),
            talker.once("PUT", "/galleries/hall/members/nobody", only=number),
        ]
        told.update((answer.status, answer.code) for answer in answers)
    talker.close()
    return told


def return_of_the_old_primary(storm, pair):
    """It comes back, and believes that it is one. What it holds, which must never change."""
    pair.primary.start()
    rows = what_it_holds(pair.primary)
    # Longer than a process believes its last look at all servers.
    until = time.monotonic() + 12.0
    assert wait_for_acts(storm, storm.ledger.checked + 50, LONGEST_S)
    time.sleep(max(0.0, until - time.monotonic()))
    assert what_it_holds(pair.primary) == rows
    return rows


def what_it_holds(server):
    counts = "SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM {}), (SELECT coalesce(max(seq), 0) FROM changes)"
    return server.do(counts.format("persons", "onelook_keys.person_keys"), "onelook")
