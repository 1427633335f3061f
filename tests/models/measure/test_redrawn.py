from collections.abc import Callable

import numpy as np
import pytest

from models.measure.all_pairs import genuine_pairs, impostor_pairs
from models.measure.gallery import open_set
from models.measure.intervals import redraw
from models.measure.redrawn import Identification, Verification, accepted
from models.measure.sample import NO_FACE, Sample

MakeSample = Callable[..., Sample]
RATES = (0.3, 0.1, 0.01)


def slow_share(impostors: list[tuple[float, float]], total: float, genuine: list[tuple[float, float]], rate: float):
    """(score, weight) of both kinds: tries every score as the threshold, and takes the least that keeps the rate."""
    candidates = sorted({score for score, _ in [*impostors, *genuine] if np.isfinite(score)})
    for threshold in candidates:
        if sum(w for s, w in impostors if s >= threshold) <= rate * total + 1e-9 * max(total, 1):
            return sum(w for s, w in genuine if s >= threshold) / sum(w for _, w in genuine)
    return 0.0


def similarity(sample: Sample, i: int, j: int) -> float:
    if not (sample.found[i] and sample.found[j]):
        return NO_FACE
    return float(np.float32(sample.vectors[i] @ sample.vectors[j]))


def slow_tmr(sample: Sample, rate: float, counts: np.ndarray) -> float:
    each = sample.photos_each()
    impostors, genuine = [], []
    for i in range(len(sample)):
        for j in range(i):
            a, b = int(sample.person[i]), int(sample.person[j])
            score = similarity(sample, i, j)
            if a == b:
                genuine.append((score, counts[a] / (each[a] * (each[a] - 1) / 2)))
            else:
                impostors.append((score, counts[a] * counts[b] / (each[a] * each[b])))
    return slow_share(impostors, sum(w for _, w in impostors), genuine, rate)


@pytest.mark.parametrize("rate", RATES)
def test_tmr_of_redrawn_people_is_that_of_a_slow_loop(make_sample: MakeSample, rate: float) -> None:
    sample = make_sample(9, seed=3)
    pairs = Verification(impostor_pairs(sample, 1.0), genuine_pairs(sample))
    drawn = redraw(sample.persons, np.random.default_rng(5), 6)
    slow = [slow_tmr(sample, rate, counts) for counts in drawn]
    assert pairs.tmr([rate], drawn)[:, 0] == pytest.approx(slow, abs=1e-6)


def test_everybody_once_gives_the_figure_itself(make_sample: MakeSample) -> None:
    sample = make_sample(30, seed=4)
    impostors, genuine = impostor_pairs(sample, 0.5), genuine_pairs(sample)
    expected = [genuine.tmr(impostors.threshold_for(rate)) for rate in RATES]
    assert Verification(impostors, genuine).tmr(RATES)[0] == pytest.approx(expected)


def test_a_rate_beyond_what_was_kept_is_not_a_number(make_sample: MakeSample) -> None:
    sample = make_sample(60, seed=4)
    impostors = impostor_pairs(sample, 0.001)
    assert not impostors.complete
    loose, tight = Verification(impostors, genuine_pairs(sample)).tmr([0.9, 0.001])[0]
    assert np.isnan(loose)
    assert 0 <= tight <= 1


def slow_fnir(sample: Sample, enrolled, probes, strangers, rate: float, counts: np.ndarray) -> float:
    holders = {int(sample.person[e]): e for e in enrolled}
    closest = [(max(similarity(sample, s, e) for e in enrolled), counts[sample.person[s]]) for s in strangers]
    found = []
    for p in probes:
        own = similarity(sample, p, holders[int(sample.person[p])])
        rival = max(similarity(sample, p, e) for name, e in holders.items() if name != sample.person[p])
        found.append((own if own > rival else NO_FACE, counts[sample.person[p]]))
    return 1 - slow_share(closest, sum(w for _, w in closest), found, rate)


@pytest.mark.parametrize("rate", RATES)
def test_fnir_of_redrawn_people_is_that_of_a_slow_loop(make_sample: MakeSample, rate: float) -> None:
    sample = make_sample(24, seed=6, noise=0.9)
    order, start = sample.by_person()
    first = order[start[:-1]]
    enrolled = first[:12]
    probes = np.array([i for i in range(len(sample)) if sample.person[i] < 12 and i not in set(enrolled)])
    strangers = np.array([i for i in range(len(sample)) if sample.person[i] >= 12])
    known = Identification(open_set(sample, enrolled, probes, strangers), sample.persons)
    drawn = redraw(sample.persons, np.random.default_rng(7), 6)
    slow = [slow_fnir(sample, enrolled, probes, strangers, rate, counts) for counts in drawn]
    assert known.fnir([rate], drawn)[:, 0] == pytest.approx(slow, abs=1e-6)
    assert known.fnir([rate])[0, 0] == pytest.approx(known.answers.fnir(known.answers.threshold_for(rate)))
    ones = np.ones((1, sample.persons))
    assert known.rank_one(ones)[0] == pytest.approx(known.answers.rank_one())


def test_equal_scores_are_refused_together() -> None:
    scores, ones = np.array([0.9, 0.5, 0.5, 0.1]), np.ones(4)
    share = accepted(scores, ones, 4.0, scores, ones, [0.25, 0.5, 0.75], NO_FACE)
    assert share.tolist() == [0.25, 0.25, 0.75]


def test_when_every_impostor_may_match_all_that_have_a_face_do() -> None:
    genuine = np.array([0.2, -0.7, NO_FACE])
    share = accepted(np.array([0.5, NO_FACE]), np.ones(2), 2.0, genuine, np.ones(3), [0.5, 1.0], NO_FACE)
    assert share.tolist() == pytest.approx([2 / 3, 2 / 3])
