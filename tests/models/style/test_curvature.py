"""What L-BFGS knows of the curvature: against the dense matrix of the textbook, and across a state."""

import pytest
import torch

from models.style.curvature import Curvature


def dense_direction(pairs, gradient):
    """- H g, H being built up densely: Nocedal, Wright, equation 6.17, from the usual scaled identity."""
    size = gradient.numel()
    step, change = pairs[-1]
    inverse = torch.eye(size, dtype=torch.float64) * ((step @ change) / (change @ change))
    for s, y in pairs:
        rho, eye = 1.0 / (y @ s), torch.eye(size, dtype=torch.float64)
        inverse = (eye - rho * torch.outer(s, y)) @ inverse @ (eye - rho * torch.outer(y, s)) + rho * torch.outer(s, s)
    return -inverse @ gradient


def bowl(size, count, seed=0):
    """Pairs of a random quadratic, and a gradient."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    hessian = root @ root.T + torch.eye(size, dtype=torch.float64)
    steps = [torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [(step, hessian @ step) for step in steps], torch.randn(size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_the_direction_is_that_of_dense_bfgs(count):
    pairs, gradient = bowl(12, count)
    curvature = Curvature(20)
    for pair in pairs:
        curvature.keep(*pair)
    expected = dense_direction(pairs, gradient)
    torch.testing.assert_close(curvature.direction(gradient), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("more", [1, 3, 4, 9])
def test_only_the_last_pairs_count(more):
    pairs, gradient = bowl(12, 4 + more)
    curvature = Curvature(4)
    for pair in pairs:
        curvature.keep(*pair)
    assert len(curvature) == 4
    expected = dense_direction(pairs[-4:], gradient)
    torch.testing.assert_close(curvature.direction(gradient), expected, rtol=1e-7, atol=1e-9)


def test_a_pair_whose_curvature_is_not_positive_is_not_kept():
    curvature = Curvature(3)
    curvature.keep(torch.ones(3), -torch.ones(3))
    curvature.keep(torch.ones(3), torch.zeros(3))
    curvature.keep(torch.ones(3), torch.full((3,), float("nan")))
    assert len(curvature) == 0
    assert curvature.direction(torch.ones(3)).tolist() == [-1.0] * 3


def test_whoever_knows_nothing_goes_straight_down_and_so_does_who_forgot():
    pairs, gradient = bowl(6, 3)
    curvature = Curvature(4)
    for pair in pairs:
        curvature.keep(*pair)
    assert not torch.equal(curvature.direction(gradient), -gradient)
    curvature.forget()
    assert torch.equal(curvature.direction(gradient), -gradient)
    curvature.keep(*pairs[0])
    torch.testing.assert_close(curvature.direction(gradient), dense_direction(pairs[:1], gradient))


@pytest.mark.parametrize("count", [0, 2, 4, 7])
def test_a_state_goes_on_bit_for_bit(count):
    pairs, gradient = bowl(6, count + 2)
    curvature, other = Curvature(4), Curvature(4)
    for pair in pairs[:count]:
        curvature.keep(*(half.float() for half in pair))
    other.take(curvature.tensors())
    for pair in [None, *pairs[count:]]:
        if pair is not None:
            curvature.keep(*(half.float() for half in pair))
            other.keep(*(half.float() for half in pair))
        assert torch.equal(curvature.direction(gradient.float()), other.direction(gradient.float()))
