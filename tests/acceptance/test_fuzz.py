"""Broken pictures never break the service; `python -m benchmarks.fuzz` sends 20,000."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.mutations import mutated, seeds

PICTURES = 600


@pytest.mark.slow
def test_broken_pictures_are_refused_or_read_and_never_a_fault(server, samples, looks):
    assert server.post_picture("/enroll", looks(0), name="Somebody", person_id="somebody").status_code == 201
    pid = server.pid
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(
            lambda image: server.post_picture("/identify", image), mutated(seeds(samples), PICTURES, seed=8)
        )
        statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 413, 415, 422}
    # Some are read all the same, and most are not: it is broken pictures that were sent, and not nonsense.
    assert statuses[200] > PICTURES / 20
    assert statuses[422] + statuses[415] > PICTURES / 4
    assert server.pid == pid
    assert server.post_picture("/identify", looks(0)).json()["person"]["id"] == "somebody"
