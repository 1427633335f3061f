from collections.abc import Callable

import numpy as np
import pytest

from models.measure import all_pairs
from models.measure.all_pairs import genuine_pairs, impostor_pairs, impostor_pairs_from
from models.measure.comparisons import rate_interval
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


def slow_pairs(sample: Sample) -> list[tuple[int, int, float]]:
    """(person, person, similarity) of every pair of photos, minus infinity without a face."""
    pairs = []
    for i in range(len(sample)):
        for j in range(i):
            similarity = float(np.dot(sample.vectors[i].astype(np.float64), sample.vectors[j].astype(np.float64)))
            seen = sample.found[i] and sample.found[j]
            pairs.append((int(sample.person[i]), int(sample.person[j]), similarity if seen else -np.inf))
    return pairs


def slow_fmr(sample: Sample, threshold: float, *, equal: bool) -> float:
    each = sample.photos_each()
    matched = total = 0.0
    for a, b, similarity in slow_pairs(sample):
        if a != b:
            weight = 1 / (each[a] * each[b]) if equal else 1.0
            total += weight
            matched += weight * (similarity >= threshold)
    return matched / total


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("threshold", [-0.3, 0.0, 0.35, 0.8])
def test_false_matches_weigh_as_in_a_slow_loop(make_sample: MakeSample, threshold: float, equal: bool) -> None:
    sample = make_sample(12)
    impostors = impostor_pairs(sample, 1.0, people_weigh_the_same=equal)
    assert impostors.fmr(threshold) == pytest.approx(slow_fmr(sample, threshold, equal=equal), abs=1e-6)


def test_blocks_find_the_same_pairs_as_one_product(make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = make_sample(20)
    whole = impostor_pairs(sample, 1.0)
    monkeypatch.setattr(all_pairs, "BLOCK_ROWS", 7)
    blocks = impostor_pairs(sample, 1.0)
    assert blocks.kept.score == pytest.approx(whole.kept.score, abs=1e-6)
    assert sorted(blocks.kept.weight) == pytest.approx(sorted(whole.kept.weight))


def test_counts_every_pair_also_those_without_a_face(make_sample: MakeSample) -> None:
    sample = make_sample(12)
    impostors = impostor_pairs(sample, 0.05)
    assert impostors.pairs == sum(a != b for a, b, _ in slow_pairs(sample))
    assert impostors.total == pytest.approx(12 * 11 / 2)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_tail_gives_the_threshold_of_all_pairs(make_sample: MakeSample, rate: float) -> None:
    sample = make_sample(40, seed=3)
    tail, whole = impostor_pairs(sample, rate), impostor_pairs(sample, 1.0)
    assert whole.complete
    assert len(tail.kept.score) <= len(whole.kept.score)
    assert tail.threshold_for(rate) == whole.threshold_for(rate)
    assert tail.fmr(tail.threshold_for(rate)) <= rate


def test_the_tail_grows_until_it_is_long_enough(make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_pairs, "PROBED_PHOTOS", 3)
    sample = make_sample(40, seed=4)
    tail = impostor_pairs(sample, 0.2)
    assert tail.threshold_for(0.2) == impostor_pairs(sample, 1.0).threshold_for(0.2)


def test_refuses_what_lies_below_the_kept_pairs(make_sample: MakeSample) -> None:
    impostors = impostor_pairs_from(make_sample(12), 0.5)
    with pytest.raises(ValueError, match="not kept"):
        impostors.fmr(0.4)


def test_one_person_with_many_photos_weighs_no_more_than_another(make_sample: MakeSample) -> None:
    sample = make_sample(12, missing=0)
    copies = np.concatenate([np.arange(len(sample)), np.repeat(np.flatnonzero(sample.person == 3), 9)])
    repeated = sample.part(copies)
    before, after = impostor_pairs(sample, 1.0), impostor_pairs(repeated, 1.0)
    assert after.fmr(0.2) == pytest.approx(before.fmr(0.2))
    assert genuine_pairs(sample).persons == 12


def test_true_matches_average_over_people_as_in_a_slow_loop(make_sample: MakeSample) -> None:
    sample = make_sample(15, seed=6)
    shares = []
    for person in range(15):
        own = [s for a, b, s in slow_pairs(sample) if a == b == person]
        if own:
            shares.append(sum(s >= 0.5 for s in own) / len(own))
    genuine = genuine_pairs(sample)
    assert genuine.tmr(0.5) == pytest.approx(np.mean(shares))
    assert len(genuine.score) == sum(a == b for a, b, _ in slow_pairs(sample))
    low, high = genuine.tmr_interval(0.5, np.random.default_rng(0))
    assert low < genuine.tmr(0.5) < high


def test_the_interval_draws_people_as_a_slow_loop_does(make_sample: MakeSample) -> None:
    sample = make_sample(10, seed=7)
    impostors = impostor_pairs(sample, 1.0)
    drawn = np.random.default_rng(1).integers(0, 3, 10).astype(float)
    each = sample.photos_each()
    matched = total = 0.0
    for a, b, similarity in slow_pairs(sample):
        if a != b:
            weight = drawn[a] * drawn[b] / (each[a] * each[b])
            total += weight
            matched += weight * (similarity >= 0.3)
    assert impostors.false_matches(0.3).redrawn(drawn).sum() == pytest.approx(matched)
    assert impostors.totals(drawn[None, :])[0] == pytest.approx(total)


def test_the_interval_surrounds_the_rate_and_repeats_with_its_seed(make_sample: MakeSample) -> None:
    impostors = impostor_pairs(make_sample(60, seed=8), 1.0)
    threshold = impostors.threshold_for(0.1)
    first, second = (rate_interval(impostors, threshold, np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert first[0] < impostors.fmr(threshold) < first[1]


def test_no_false_match_shows_only_the_rule_of_three_over_pairs_that_share_nobody(make_sample: MakeSample) -> None:
    impostors = impostor_pairs(make_sample(60, seed=8), 1.0)
    assert rate_interval(impostors, 0.9999, np.random.default_rng(0)) == (0.0, 0.1)


def test_counts_the_people_among_the_false_matches(make_sample: MakeSample) -> None:
    sample = make_sample(12)
    people = {p for a, b, s in slow_pairs(sample) if a != b and s >= 0.4 for p in (a, b)}
    assert impostor_pairs(sample, 1.0).people_matched(0.4) == len(people)
