"""Platt's scaling: a logistic curve through scores (Platt 1999), by Newton's method (Lin, Lin and Weng 2007)."""

import numpy as np

from models.measure.sample import Floats

MOST_STEPS = 100
MOST_HALVINGS = 40
CONVERGED = 1e-9


def fit_logistic(score: Floats, genuine: Floats, impostor: Floats, targets: tuple[float, float]) -> tuple[float, float]:
    """(slope, offset) of 1 / (1 + exp(-(slope x score + offset))) with the least cross-entropy.

    score: float64 (n,); genuine, impostor: (n,), weights of either kind at each score; targets: what the curve shall
    say of the one and of the other kind, a little inside 0..1, so that kinds that never overlap have a slope too.
    Raises ValueError when it does not converge.
    """
    centre = float(score @ (genuine + impostor)) / float((genuine + impostor).sum())
    away = score - centre
    wanted = genuine * targets[0] + impostor * targets[1]
    every = genuine + impostor
    at = np.zeros(2)
    loss = cross_entropy(at, away, every, wanted)
    for _ in range(MOST_STEPS):
        gradient, curvature = _derivatives(at, away, every, wanted)
        if np.abs(gradient).max() < CONVERGED * every.sum():
            slope, height = float(at[0]), float(at[1])
            return slope, height - slope * centre
        step = np.linalg.solve(curvature, gradient)
        for _ in range(MOST_HALVINGS):
            reached = cross_entropy(at - step, away, every, wanted)
            if reached <= loss:
                break
            step /= 2
        at, loss = at - step, reached
    raise ValueError("no logistic curve fits these scores")


def cross_entropy(at: Floats, score: Floats, every: Floats, wanted: Floats) -> float:
    """Of the curve `at` = (slope, offset); every: weight at each score; wanted: how much of it shall be genuine."""
    odds = at[0] * score + at[1]
    # log(1 + exp(odds)), which does not overflow.
    return float((every * np.logaddexp(0.0, odds) - wanted * odds).sum())


def _derivatives(at: Floats, score: Floats, every: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    share = 1 / (1 + np.exp(-np.clip(at[0] * score + at[1], -500, 500)))
    wrong, steep = every * share - wanted, every * share * (1 - share)
    gradient = np.array([wrong @ score, wrong.sum()])
    mixed = float(steep @ score)
    curvature = np.array([[steep @ score**2, mixed], [mixed, steep.sum()]])
    # Far out the curve is flat, and the matrix nearly singular.
    return gradient, curvature + 1e-12 * np.eye(2)
