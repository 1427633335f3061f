import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.measure.threshold import threshold_for

scores_with_ties = st.lists(st.sampled_from([-np.inf, -0.5, 0.0, 0.1, 0.2, 0.3, 0.9]), min_size=1, max_size=40)


@given(scores_with_ties, st.floats(0, 1))
def test_keeps_the_rate_and_no_lower_threshold_would(scores: list[float], rate: float) -> None:
    values = np.array(scores)
    threshold = threshold_for(values, rate)
    assert np.count_nonzero(values >= threshold) <= rate * len(values) + 1e-6
    lower = [v for v in scores if np.isfinite(v) and v < threshold]
    if lower:
        assert np.count_nonzero(values >= max(lower)) > rate * len(values)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=1, max_size=30), st.floats(0, 1))
def test_weights_count_as_a_slow_loop_counts_them(weighted: list[tuple[float, float]], rate: float) -> None:
    scores, weight = (np.array(column) for column in zip(*weighted, strict=True))
    total = float(weight.sum()) + 1.0
    threshold = threshold_for(scores, rate, weight=weight, total=total)
    matched = sum(w for s, w in weighted if s >= threshold)
    assert matched <= rate * total + 1e-6
    if threshold > -1.0:
        refused = max(s for s in scores if s < threshold)
        assert sum(w for s, w in weighted if s >= refused) > rate * total


def test_ten_percent_of_a_hundred_may_be_ten() -> None:
    scores = np.arange(100) / 100
    assert np.count_nonzero(scores >= threshold_for(scores, 0.1)) == 10


def test_missing_faces_never_match() -> None:
    assert threshold_for(np.array([-np.inf, -np.inf, 0.4]), 0.34) == -1.0


def test_refuses_to_guess_below_the_scores_that_were_kept() -> None:
    with pytest.raises(ValueError, match="longer tail"):
        threshold_for(np.array([0.9, 0.8]), 0.5, total=100.0, complete=False)


def test_refuses_a_rate_that_is_none() -> None:
    with pytest.raises(ValueError, match="no rate"):
        threshold_for(np.array([0.5]), 1.5)
