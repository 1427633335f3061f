import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.measure.pairs import best_threshold, fold_accuracy, match_rate, roc

scores_and_kinds = st.lists(
    st.tuples(st.sampled_from([-np.inf, -0.2, 0.0, 0.1, 0.25, 0.4, 0.7]), st.booleans()), min_size=2, max_size=30
)


def right_answers(scores: np.ndarray, same: np.ndarray, threshold: float) -> int:
    return sum((s >= threshold) == k for s, k in zip(scores, same, strict=True))


@given(scores_and_kinds)
def test_no_threshold_gives_more_right_answers_than_the_best_that_matches_anything(listed: list) -> None:
    scores, same = (np.array(column) for column in zip(*listed, strict=True))
    best = right_answers(scores, same, best_threshold(scores, same))
    finite = scores[np.isfinite(scores)]
    assert best >= max((right_answers(scores, same, t) for t in finite), default=0)


def test_the_threshold_lies_half_way_between_two_kinds_that_part_cleanly() -> None:
    scores, same = np.array([0.1, 0.2, 0.6, 0.7]), np.array([False, False, True, True])
    assert best_threshold(scores, same) == pytest.approx(0.4)


def test_accuracy_over_folds_is_that_of_a_slow_loop() -> None:
    generator = np.random.default_rng(1)
    same = generator.random(200) < 0.5
    scores = generator.normal(size=200) + 1.5 * same
    fold = np.repeat(np.arange(10), 20)
    folds = fold_accuracy(scores, same, fold)
    for held_out in range(10):
        others = fold != held_out
        threshold = best_threshold(scores[others], same[others])
        answers = right_answers(scores[~others], same[~others], threshold)
        assert folds.accuracies[held_out] == answers / 20
        assert folds.thresholds[held_out] == threshold
    assert folds.correct == round(sum(folds.accuracies) * 20)
    assert folds.mean == pytest.approx(np.mean(folds.accuracies))
    assert folds.pairs == 200


def test_the_held_out_fold_does_not_set_its_own_threshold() -> None:
    scores = np.array([0.9, 0.1, 0.9, 0.1, 0.3, 0.2])
    same = np.array([True, False, True, False, False, False])
    before = fold_accuracy(scores, same, np.array([0, 0, 1, 1, 2, 2])).thresholds[2]
    scores[4:] = 0.95
    assert fold_accuracy(scores, same, np.array([0, 0, 1, 1, 2, 2])).thresholds[2] == before


def test_a_missing_face_is_a_miss_when_genuine_and_right_when_not() -> None:
    scores = np.array([-np.inf, 0.8, -np.inf, 0.1])
    same = np.array([True, True, False, False])
    folds = fold_accuracy(np.tile(scores, 2), np.tile(same, 2), np.repeat([0, 1], 4))
    assert folds.correct == 6
    assert folds.pairs == 8


def test_counts_both_kinds_of_pairs_at_the_threshold() -> None:
    generator = np.random.default_rng(2)
    genuine, impostors = generator.normal(1, 1, 300), generator.normal(-1, 1, 1000)
    genuine[:6] = -np.inf
    rate = match_rate(genuine, impostors, 0.01)
    assert rate.false_matches == sum(s >= rate.threshold for s in impostors) == 10
    assert rate.matched == sum(s >= rate.threshold for s in genuine)
    assert rate.tmr == rate.matched / 300


def test_the_curve_is_that_of_a_slow_loop_and_rises() -> None:
    generator = np.random.default_rng(5)
    genuine, impostors = generator.normal(1, 1, 40).round(1), generator.normal(-1, 1, 60).round(1)
    genuine[0] = -np.inf
    thresholds, fmr, tmr = roc(genuine, impostors)
    for t, false, true in zip(thresholds, fmr, tmr, strict=True):
        assert false == pytest.approx(sum(s >= t for s in impostors) / 60)
        assert true == pytest.approx(sum(s >= t for s in genuine) / 40)
    assert (np.diff(fmr) >= 0).all()
    assert tmr[-1] == pytest.approx(39 / 40)
