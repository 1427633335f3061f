import math

import numpy as np
import pytest

from models.measure.platt import cross_entropy, fit_logistic

TARGETS = (0.99, 0.005)


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, and weights of genuine and impostor at each, that overlap."""
    generator = np.random.default_rng(3)
    score = np.linspace(-1, 1, 41)
    genuine = np.exp(-(((score - 0.6) / 0.3) ** 2)) * generator.random(41)
    impostor = np.exp(-(((score + 0.1) / 0.3) ** 2)) * generator.random(41)
    return score, genuine / genuine.sum(), impostor / impostor.sum()


def slow_loss(slope: float, offset: float, score, genuine, impostor) -> float:
    total = 0.0
    for s, g, i in zip(score, genuine, impostor, strict=True):
        share = 1 / (1 + math.exp(-(slope * s + offset)))
        for weight, target in ((g, TARGETS[0]), (i, TARGETS[1])):
            total -= weight * (target * math.log(share) + (1 - target) * math.log(1 - share))
    return total


def test_the_loss_is_that_of_a_slow_loop(scores) -> None:
    score, genuine, impostor = scores
    wanted = genuine * TARGETS[0] + impostor * TARGETS[1]
    fast = cross_entropy(np.array([7.0, -2.0]), score, genuine + impostor, wanted)
    assert fast == pytest.approx(slow_loss(7.0, -2.0, *scores), rel=1e-12)


def test_at_the_fit_the_slope_of_the_loss_is_nothing(scores) -> None:
    slope, offset = fit_logistic(*scores, TARGETS)
    step = 1e-5
    by_slope = slow_loss(slope + step, offset, *scores) - slow_loss(slope - step, offset, *scores)
    by_offset = slow_loss(slope, offset + step, *scores) - slow_loss(slope, offset - step, *scores)
    assert abs(by_slope) / (2 * step) < 1e-6
    assert abs(by_offset) / (2 * step) < 1e-6
    assert slope > 0


def test_no_neighbour_of_the_fit_is_better(scores) -> None:
    slope, offset = fit_logistic(*scores, TARGETS)
    best = slow_loss(slope, offset, *scores)
    for more, up in ((0.5, 0), (-0.5, 0), (0, 0.2), (0, -0.2), (0.3, -0.1)):
        assert slow_loss(slope + more, offset + up, *scores) > best


def test_recovers_the_curve_that_made_the_scores() -> None:
    score = np.linspace(-1, 1, 2001)
    share = 1 / (1 + np.exp(-(9.0 * score - 3.0)))
    assert fit_logistic(score, share, 1 - share, (1.0, 0.0)) == pytest.approx((9.0, -3.0), abs=1e-5)


def test_kinds_that_never_overlap_have_a_slope_all_the_same() -> None:
    slope, offset = fit_logistic(np.array([-0.1, 0.7]), np.array([0.0, 1.0]), np.array([1.0, 0.0]), (0.99, 0.01))
    for score, target in ((-0.1, 0.01), (0.7, 0.99)):
        assert 1 / (1 + math.exp(-(slope * score + offset))) == pytest.approx(target, abs=1e-6)
