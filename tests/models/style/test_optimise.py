import json
import math
import re

import pytest
import torch

from models.style.optimise import ADAM_BETAS, ADAM_EPSILON, ADAM_RATE, OPTIMIZERS, Adam, GradientDescent, Lbfgs
from models.style.stage import Losses

ALL = ["lbfgs", "adam", "gd"]
CENTRE = torch.tensor([3.0, -2.0, 1.0, 0.5], dtype=torch.float64)
SPREAD = torch.tensor([1.0, 4.0, 0.5, 2.0], dtype=torch.float64)


def looking(function):
    """A look at a plain function of the canvas; it counts how often it was asked."""

    def look(canvas):
        look.asked += 1
        leaf = canvas.detach().requires_grad_()
        value = function(leaf)
        value.backward()
        losses = Losses(float(value.detach()), 0.25 * float(value.detach()), 0.5, {"conv1_1": float(value.detach())})
        return losses, leaf.grad

    look.asked = 0
    return look


def bowl(x):
    return 0.5 * (SPREAD * (x - CENTRE).square()).sum()


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def zeros(count=4):
    return torch.zeros(count, dtype=torch.float64)


@pytest.mark.parametrize(("name", "steps", "near"), [("lbfgs", 30, 1e-8), ("adam", 3000, 0.2), ("gd", 200, 1e-3)])
def test_a_bowl_is_descended_to_its_bottom(name, steps, near):
    optimizer, look = OPTIMIZERS[name](zeros(), steps), looking(bowl)
    for _ in range(steps):
        optimizer.step(look)
    assert float((optimizer.canvas - CENTRE).abs().max()) < near
    assert optimizer.evaluations == look.asked
    assert optimizer.taken == steps


def test_lbfgs_finds_the_bottom_of_rosenbrocks_valley():
    optimizer, look = Lbfgs(torch.tensor([-1.2, 1.0], dtype=torch.float64), 100), looking(rosenbrock)
    for _ in range(100):
        losses = optimizer.step(look)
    torch.testing.assert_close(optimizer.canvas, torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)
    assert losses.total < 1e-10


@pytest.mark.parametrize("name", ["lbfgs", "gd"])
def test_the_loss_never_rises(name):
    optimizer, look = OPTIMIZERS[name](torch.tensor([-1.2, 1.0], dtype=torch.float64), 60), looking(rosenbrock)
    losses = [optimizer.step(look).total for _ in range(60)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("name", ["lbfgs", "gd"])
def test_the_losses_of_a_step_are_those_of_the_canvas_it_ends_with(name):
    optimizer, look = OPTIMIZERS[name](zeros(), 5), looking(bowl)
    for _ in range(5):
        assert optimizer.step(look).total == look(optimizer.canvas)[0].total


def test_the_first_step_of_descent_moves_the_most_moved_value_by_one():
    for kind in (Lbfgs, GradientDescent):
        optimizer = kind(zeros(), 5)
        optimizer.step(looking(bowl))
        assert float(optimizer.canvas.abs().max()) == pytest.approx(1.0)


def test_one_evaluation_a_step_is_the_rule_of_lbfgs():
    optimizer, look = Lbfgs(zeros(), 15), looking(bowl)
    for _ in range(15):
        optimizer.step(look)
    assert look.asked <= 15 + 5


def test_adam_is_kingmas_formula_under_its_schedule():
    steps, rows = 40, []
    optimizer, look = Adam(zeros(), steps), looking(bowl)
    theirs = zeros().requires_grad_()
    torch_adam = torch.optim.Adam([theirs], lr=ADAM_RATE, betas=ADAM_BETAS, eps=ADAM_EPSILON)
    for step in range(steps):
        torch_adam.param_groups[0]["lr"] = ADAM_RATE * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
        torch_adam.zero_grad()
        bowl(theirs).backward()
        torch_adam.step()
        rows.append(theirs.detach().clone())
        optimizer.step(look)
        torch.testing.assert_close(optimizer._point, rows[-1], rtol=1e-9, atol=1e-9)
        # What is shown: the iterates, each counting 0.99 of the next.
        weights = [0.99 ** (step - number) for number in range(step + 1)]
        mean = sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights)
        torch.testing.assert_close(optimizer.canvas, mean, rtol=1e-9, atol=1e-9)


def test_adam_goes_on_beyond_its_schedule_with_the_least_rate():
    optimizer, look = Adam(zeros(), 3), looking(bowl)
    for _ in range(3):
        optimizer.step(look)
    before = optimizer._point.clone()
    optimizer.step(look)
    assert float((optimizer._point - before).abs().max()) < 2 * 0.05 * ADAM_RATE


@pytest.mark.parametrize("name", ["adam", "gd"])
def test_the_canvas_stays_within_its_bounds(name):
    optimizer, look = OPTIMIZERS[name](zeros(), 50, (-0.5, 0.75)), looking(bowl)
    for _ in range(50):
        optimizer.step(look)
        assert float(optimizer.canvas.min()) >= -0.5 - 1e-12
        assert float(optimizer.canvas.max()) <= 0.75 + 1e-12


def test_plain_descent_halves_its_rate_where_the_loss_rises():
    optimizer = GradientDescent(zeros(), 5)
    optimizer.step(looking(bowl))
    optimizer.take({}, {**optimizer.numbers(), "rate": 1.0})  # too long for a bowl as steep as 4
    before = optimizer.canvas.clone()
    losses = optimizer.step(looking(bowl))
    assert losses.total < float(bowl(before))
    assert optimizer.numbers()["rate"] < 1.0


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e30])
def test_an_explosion_is_told_of_and_rolled_back(name, wrong):
    optimizer, look = OPTIMIZERS[name](zeros(), 30), looking(bowl)
    for _ in range(4):
        losses = optimizer.step(look)
        assert optimizer.event is None
    before = optimizer.canvas.clone()

    def explode(canvas):
        return Losses(wrong, wrong, wrong), torch.full_like(canvas, wrong)

    exploded = optimizer.step(explode)
    assert optimizer.event
    assert torch.equal(optimizer.canvas, before)
    if name != "adam":
        assert exploded == losses
    optimizer.step(look)
    assert optimizer.event is None
    for _ in range(20):
        assert math.isfinite(optimizer.step(look).total)
    assert bool(optimizer.canvas.isfinite().all())
    assert float(bowl(optimizer.canvas)) < float(bowl(before)) + 1e-9


@pytest.mark.parametrize("name", ALL)
def test_a_first_look_that_explodes_leaves_the_canvas(name):
    start = torch.full((4,), 100.0, dtype=torch.float64)
    optimizer, look = OPTIMIZERS[name](start, 30), looking(bowl)

    def explode(canvas):
        return Losses(math.nan, math.nan, math.nan), torch.full_like(canvas, math.nan)

    optimizer.step(explode)
    assert optimizer.event
    assert torch.equal(optimizer.canvas, start)
    if name == "adam":  # the others know nothing then: the loss of that canvas is what it is
        optimizer.step(look)
        # The average is one of the points that were stepped to, not of those and of nothing.
        torch.testing.assert_close(optimizer.canvas, optimizer._point)


@pytest.mark.parametrize("name", ["lbfgs", "gd"])
def test_a_finite_loss_with_a_gradient_of_no_numbers_is_no_better_canvas(name):
    optimizer, look = OPTIMIZERS[name](zeros(), 30), looking(bowl)
    for _ in range(3):
        optimizer.step(look)
    before = optimizer.canvas.clone()
    optimizer.step(lambda canvas: (Losses(0.0, 0.0, 0.0), torch.full_like(canvas, math.nan)))
    assert torch.equal(optimizer.canvas, before)
    optimizer.step(look)
    assert bool(optimizer.canvas.isfinite().all())
    assert not torch.equal(optimizer.canvas, before)


@pytest.mark.parametrize("name", ["lbfgs", "gd"])
def test_at_the_bottom_nothing_moves_and_that_is_told(name):
    optimizer = OPTIMIZERS[name](CENTRE.clone(), 5)
    optimizer.step(looking(bowl))
    torch.testing.assert_close(optimizer.canvas, CENTRE)
    if name == "lbfgs":
        assert "stays the best" in optimizer.event


def copied(optimizer, name, steps):
    """Another optimiser that took over, as from a file."""
    other = OPTIMIZERS[name](optimizer.canvas.clone(), steps, optimizer.bounds)
    tensors = {key: value.clone() for key, value in optimizer.tensors().items()}
    other.take(tensors, json.loads(json.dumps(optimizer.numbers())))
    other.taken, other.evaluations = optimizer.taken, optimizer.evaluations
    return other


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("after", [0, 1, 2, 7, 25])
def test_what_took_over_the_state_takes_exactly_the_same_steps(name, after):
    optimizer, look = OPTIMIZERS[name](torch.tensor([-1.2, 1.0]), 40), looking(rosenbrock)
    for _ in range(after):
        optimizer.step(look)
    other = copied(optimizer, name, 40)
    for _ in range(12):
        assert optimizer.step(look) == other.step(look)
        assert torch.equal(optimizer.canvas, other.canvas)
        assert optimizer.evaluations == other.evaluations
        assert optimizer.event == other.event


@pytest.mark.parametrize("name", ALL)
def test_what_took_over_an_explosion_takes_exactly_the_same_steps(name):
    optimizer, look = OPTIMIZERS[name](zeros(), 40), looking(bowl)
    for number in range(5):
        optimizer.step(look if number != 2 else lambda x: (Losses(math.nan, 0, 0), torch.full_like(x, math.nan)))
    other = copied(optimizer, name, 40)
    for _ in range(5):
        assert optimizer.step(look) == other.step(look)
        assert torch.equal(optimizer.canvas, other.canvas)


@pytest.mark.parametrize("name", ALL)
def test_a_state_does_not_change_as_its_giver_goes_on(name):
    optimizer, look = OPTIMIZERS[name](zeros(), 40), looking(bowl)
    optimizer.step(look)
    other = OPTIMIZERS[name](optimizer.canvas, 40)
    other.take(optimizer.tensors(), optimizer.numbers())
    kept = {key: value.clone() for key, value in other.tensors().items()}
    for _ in range(3):
        optimizer.step(look)
    assert all(torch.equal(value, kept[key]) for key, value in other.tensors().items())


# Adam looks once a step.
@pytest.mark.parametrize(("name", "at"), [("adam", 1), *((name, at) for name in ("lbfgs", "gd") for at in (1, 2, 3))])
@pytest.mark.parametrize("after", [0, 4])
def test_an_exception_in_a_look_leaves_the_optimiser_as_it_was(name, at, after):
    optimizer, look = OPTIMIZERS[name](torch.tensor([-1.2, 1.0]), 40), looking(rosenbrock)
    for _ in range(after):
        optimizer.step(look)
    other, asked = copied(optimizer, name, 40), []

    def interrupted(canvas):
        asked.append(1)
        if len(asked) == at:
            raise KeyboardInterrupt
        losses, gradient = look(canvas)
        # What is tried is worse, so that it tries again.
        return (Losses(1e30, 0, 0), gradient) if after or len(asked) > 1 else (losses, gradient)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(interrupted)
    assert optimizer.taken == other.taken
    assert optimizer.evaluations == other.evaluations
    for _ in range(6):
        assert optimizer.step(look) == other.step(look)
        assert torch.equal(optimizer.canvas, other.canvas)
        assert optimizer.evaluations == other.evaluations


def test_adam_carries_its_moments_to_the_next_scale_and_the_others_nothing():
    look = looking(lambda x: bowl(x[:4]))
    before = Adam(zeros(), 10)
    for _ in range(4):
        before.step(look)
    after = Adam(zeros(8), 10)
    after.carried(lambda x: x.repeat(2), before)
    torch.testing.assert_close(after._first, before._first.repeat(2))
    torch.testing.assert_close(after._second, before._second.repeat(2))
    assert after.numbers()["moments"] == 4
    for name in ("lbfgs", "gd"):
        fresh, told = OPTIMIZERS[name](zeros(), 10), OPTIMIZERS[name](zeros(), 10)
        told.carried(lambda x: x, before)
        assert told.step(look) == fresh.step(look)


def test_enlarged_squares_are_never_negative():
    before = Adam(zeros(), 10)
    before.step(looking(bowl))
    after = Adam(zeros(), 10)
    after.carried(lambda x: x - 10.0, before)  # as bicubic interpolation may undershoot
    assert float(after._second.min()) == 0


def test_the_names_of_the_optimisers_are_those_of_the_options():
    from models.style.options import CHOICES

    assert tuple(OPTIMIZERS) == CHOICES["optimizer"]
    assert all(re.fullmatch("[a-z]+", name) for name in OPTIMIZERS)
