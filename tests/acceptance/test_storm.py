"""Four processes, and `kill -9` every other second: what was acknowledged is there, and what was erased is not.

The short form of `make soak` (tests/acceptance/storm), which does the same for ten thousand acts.
"""

import random

import numpy as np
import pytest

from app.inference import calibration
from models import weights
from tests.acceptance.storm import soak
from tests.acceptance.storm.faces import Cast, gold_vectors, reading_of
from tests.acceptance.storm.networks import FLIP, MODEL, embeddings_of

ACTS = 300
# A few seconds where nothing else runs; a busy machine may take its time.
LONGEST_S = 400.0
# In service 30 s: here whoever repeats a request that a killed process had begun shall not wait so long.
LEASE_S = 3.0


def test_no_answer_of_the_storm_hangs_on_chance(samples):
    """Closer than the lowest threshold are only looks of one person: else a wrong answer might be a right one."""
    vectors = gold_vectors()
    each = random.Random(1).sample(range(len(vectors)), 300)
    inner = vectors[each] @ vectors.T
    inner[np.arange(len(each)), each] = 0
    assert np.abs(inner).max() * 127 == pytest.approx(17)
    points = calibration.load(MODEL, weights.model_id(MODEL, flip=FLIP))
    cast, chance = Cast(samples, embeddings_of), random.Random(2)
    people = [cast.next_person() for _ in range(300)]
    looks = np.array([[seen(one.first(chance)), seen(one.other(chance))] for one in people])
    probes = np.array([[seen(one.probe(chance)), seen(one.probe_of_other(chance))] for one in people])
    closeness = np.einsum("ipd,jtd->ijpt", probes, looks)
    own = closeness[np.arange(300), np.arange(300)].copy()
    closeness[np.arange(300), np.arange(300)] = 0
    lowest, highest = (points.for_identification(size).threshold for size in (1, 10**6))
    assert closeness.max() < lowest - 0.03
    # The first look is recognized by the first template; the other look by the other one only.
    assert own[:, 0, 0].min() > highest + 0.05
    assert own[:, 1, 1].min() > highest + 0.05
    assert own[:, 1, 0].max() < lowest - 0.03
    assert (looks[:, 0] * looks[:, 1]).sum(1).min() > points.for_verification().threshold + 0.05
    # Nor is anybody on a real photo taken for one of them, or one of them for him.
    real = embeddings_of([one.first(chance) for one in cast.photographed for _ in range(3)])
    drawn = np.concatenate([looks, probes]).reshape(-1, real.shape[1])
    assert (drawn @ real.T).max() < lowest - 0.03


def seen(image):
    return reading_of(image).faces[0].embedding


@pytest.mark.slow
def test_on_sqlite_nothing_acknowledged_is_lost_and_nobody_erased_is_found_whoever_is_killed(tmp_path):
    assert_nothing_went_wrong(soak.on_sqlite(tmp_path), tmp_path, seed=1)


@pytest.mark.slow
def test_on_postgresql_nothing_acknowledged_is_lost_and_nobody_erased_is_found_whoever_is_killed(
    postgres_server, tmp_path
):
    postgres_server.do("CREATE DATABASE storm")
    assert_nothing_went_wrong(soak.on_postgresql(tmp_path, postgres_server.url("storm")), tmp_path, seed=2)


def assert_nothing_went_wrong(ground, folder, seed):
    outcome = soak.storm_on(ground, folder, acts=ACTS, seed=seed, lease_s=LEASE_S, timeout_s=LONGEST_S)
    assert outcome.wrong == []
    assert outcome.undecided == []
    assert outcome.checked >= ACTS
    # It was a storm: processes died amid requests, and everything was tried.
    assert outcome.kills >= 2
    assert outcome.traffic["torn"] >= 1
    assert outcome.real_acts >= 5
    tried = {"enrol", "erase", "identify somebody enrolled", "identify somebody erased", "identify a stranger",
             "add a template", "join a gallery"}  # fmt: skip
    assert tried <= outcome.acts.keys()
    assert outcome.rows["persons"] == outcome.living
    assert outcome.rows["erased ids"] == outcome.erased
