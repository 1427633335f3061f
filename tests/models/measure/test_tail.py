import numpy as np
import pytest

from models.measure.tail import Tail, fit_tail


def pareto(shape: float, scale: float, count: int, seed: int = 0) -> np.ndarray:
    u = np.random.default_rng(seed).random(count)
    return np.sort(scale / shape * (u**-shape - 1) if shape else -scale * np.log(u))


@pytest.mark.parametrize("shape", [-0.3, -0.1, 0.0, 0.2])
def test_recovers_the_distribution_that_the_scores_came_from(shape: float) -> None:
    tail = fit_tail(0.4 + pareto(shape, 0.05, 50_000), 0.4, total=1_000_000)
    assert tail is not None
    assert tail.shape == pytest.approx(shape, abs=0.03)
    assert tail.scale == pytest.approx(0.05, rel=0.03)
    assert tail.rate == pytest.approx(0.05)


def test_a_weight_of_two_is_the_score_twice() -> None:
    scores = 0.3 + pareto(-0.2, 0.1, 2000)
    weight = np.where(np.arange(2000) % 3 == 0, 2.0, 1.0)
    weighted = fit_tail(scores, 0.3, total=1e5, weight=weight)
    repeated = fit_tail(np.repeat(scores, weight.astype(int)), 0.3, total=1e5)
    assert weighted is not None
    assert repeated is not None
    assert weighted.rate == repeated.rate
    assert weighted.shape == pytest.approx(repeated.shape, abs=2e-3)
    assert weighted.scale == pytest.approx(repeated.scale, rel=2e-3)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 0.3])
def test_threshold_and_rate_are_each_others_inverse(shape: float) -> None:
    tail = Tail(level=0.3, rate=0.02, shape=shape, scale=0.05)
    for rate in (0.02, 1e-3, 1e-6):
        assert tail.rate_above(tail.threshold_for(rate)) == pytest.approx(rate, rel=1e-6)


def test_beyond_its_end_a_bounded_tail_holds_nothing() -> None:
    tail = Tail(level=0.3, rate=0.02, shape=-0.5, scale=0.1)
    assert tail.end == pytest.approx(0.5)
    assert tail.rate_above(0.51) == 0.0


def test_says_nothing_below_its_level_or_above_its_rate() -> None:
    tail = Tail(level=0.3, rate=0.02, shape=-0.1, scale=0.05)
    with pytest.raises(ValueError, match="begins at"):
        tail.rate_above(0.2)
    with pytest.raises(ValueError, match="holds a share"):
        tail.threshold_for(0.1)


def test_no_fit_where_there_is_nothing_to_fit() -> None:
    assert fit_tail(np.empty(0), 0.3, total=100) is None
    assert fit_tail(np.full(50, 0.3), 0.3, total=100) is None


def test_no_fit_to_a_tail_without_moments() -> None:
    assert fit_tail(pareto(1.5, 0.1, 5000), 0.0, total=5000) is None
