from collections.abc import Callable

import numpy as np
import pytest

from models.measure import pair_scores as module
from models.measure.pair_scores import CELLS, MIDDLES, pair_scores
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


def slow(sample: Sample) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Both histograms and the numbers of pairs, pair by pair, people weighing the same."""
    seen = [i for i in range(len(sample)) if sample.found[i]]
    photos = {p: [i for i in seen if sample.person[i] == p] for p in range(sample.persons)}
    genuine, impostor, counts = np.zeros(CELLS), np.zeros(CELLS), [0, 0]
    for i in seen:
        for j in seen:
            if j >= i:
                continue
            similarity = float(sample.vectors[i].astype(float) @ sample.vectors[j].astype(float))
            cell = min(CELLS - 1, max(0, int((similarity + 1) / 2 * CELLS)))
            a, b = sample.person[i], sample.person[j]
            if a == b:
                genuine[cell] += 2 / (len(photos[a]) * (len(photos[a]) - 1))
            else:
                impostor[cell] += 1 / (len(photos[a]) * len(photos[b]))
            counts[int(a != b)] += 1
    return genuine / genuine.sum(), impostor / impostor.sum(), counts[0], counts[1]


@pytest.mark.parametrize("rows", [512, 7])
def test_pairs_weigh_and_count_as_in_a_slow_loop(
    make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", rows)
    sample = make_sample(15)
    genuine, impostor, same, different = slow(sample)
    fast = pair_scores(sample)
    # A similarity at the border of a cell may fall to either side in float32.
    assert np.cumsum(fast.genuine)[9::10] == pytest.approx(np.cumsum(genuine)[9::10], abs=0.01)
    assert fast.genuine @ MIDDLES == pytest.approx(genuine @ MIDDLES, abs=1e-4)
    assert fast.impostor @ MIDDLES == pytest.approx(impostor @ MIDDLES, abs=1e-4)
    assert (fast.genuine_pairs, fast.impostor_pairs) == (same, different)


def test_people_are_counted_by_their_photos_with_a_face(make_sample: MakeSample) -> None:
    sample = make_sample(30, missing=0.5, most_photos=2)
    faces = np.bincount(sample.person[sample.found], minlength=30)
    scores = pair_scores(sample)
    assert (scores.people, scores.twice) == (int((faces > 0).sum()), int((faces > 1).sum()))
    assert scores.pairs_of_people == scores.people * (scores.people - 1) // 2


def test_where_nobody_comes_twice_there_is_no_genuine_weight() -> None:
    scores = pair_scores(Sample.of(list(np.eye(5, dtype=np.float32)), list("abcde")))
    assert scores.genuine.sum() == 0
    assert scores.impostor[CELLS // 2] == pytest.approx(1.0)
