"""Renders of toys: what goes on from a state is bit for bit what never stopped."""

import json
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save

from models.errors import OtherRender
from models.style import pyramid
from models.style.render import facts_of, run
from models.style.stage import Losses, Scale, Stage

ALL = ["lbfgs", "adam", "gd"]
STEPS = (3, 4, 5)


def scales(steps=STEPS, *, drawn=False, bounds=None):
    """Canvases of 4, 8, 16 ... positions, each drawn to a wave; drawn: what is looked at depends on the turn."""

    def make(number):
        length = 4 << number
        goal = torch.sin(torch.arange(length) * 0.7).expand(1, 3, length) * 9.0
        slopes = torch.linspace(0.5, 3.0, length)

        def evaluate(canvas, beat, turn):
            beat()
            pull = slopes
            if drawn:
                pull = slopes * (0.5 + torch.rand(length, generator=torch.Generator().manual_seed(turn)))
            away = canvas - goal
            value = float((pull * away.square()).sum() / 2 + (0.01 * away**4).sum())
            return Losses(value, value / 3, value / 7, {"a": value / 11}), pull * away + 0.04 * away**3

        def begin(before):
            return torch.zeros(1, 3, length) if before is None else pyramid.resized(before, (length,))

        return Stage(evaluate, begin, lambda values: pyramid.resized(values, (length,)), bounds)

    return [Scale(count, lambda number=number: make(number)) for number, count in enumerate(steps)]


def told(step):
    return (step.step, step.scale, step.losses, step.evaluations, step.warning, step.last_of_scale, step.taken)


def rendered(optimizer, *, steps=STEPS, state=None, extra=0, drawn=False):
    """[(what a step tells, its canvas, its state)]."""
    found = run(scales(steps, drawn=drawn), optimizer, identity="toy", extra=extra, state=state)
    return [(told(step), step.canvas.clone(), step.state("toy", {"precision": "float32"})) for step in found]


@pytest.mark.parametrize("drawn", [False, True], ids=["the same each time", "drawn each time"])
@pytest.mark.parametrize("optimizer", ALL)
def test_a_render_that_goes_on_from_any_step_is_the_render_that_never_stopped(optimizer, drawn):
    whole = rendered(optimizer, drawn=drawn)
    for number, (_, _, state) in enumerate(whole):
        rest = rendered(optimizer, state=state, drawn=drawn)
        assert [step for step, _, _ in rest] == [step for step, _, _ in whole[number + 1 :]]
        for (_, canvas, made), (_, expected, other) in zip(rest, whole[number + 1 :], strict=True):
            assert torch.equal(canvas, expected)
            assert made == other


@pytest.mark.parametrize("optimizer", ALL)
def test_a_render_that_is_stopped_after_every_single_step_is_the_same(optimizer):
    whole, state = rendered(optimizer), None
    for _, expected, _ in whole:
        step = next(run(scales(), optimizer, identity="toy", state=state))
        assert torch.equal(step.canvas, expected)
        state = step.state("toy", {"precision": "float32"})
    assert not rendered(optimizer, state=state)


@pytest.mark.parametrize("optimizer", ALL)
def test_more_steps_go_on_at_the_last_scale(optimizer):
    whole, more = rendered(optimizer), rendered(optimizer, extra=6)
    assert len(more) == len(whole) + 6
    assert {step[1] for step, _, _ in more[-6:]} == {3}
    rest = rendered(optimizer, state=whole[-1][2], extra=6)
    assert [step for step, _, _ in rest] == [step for step, _, _ in more[len(whole) :]]
    assert torch.equal(rest[-1][1], more[-1][1])


@pytest.mark.parametrize("optimizer", ALL)
def test_steps_and_scales_are_counted_and_each_scale_has_a_last_step(optimizer):
    whole = [step for step, _, _ in rendered(optimizer)]
    assert [step[0] for step in whole] == list(range(1, sum(STEPS) + 1))
    assert [step[1] for step in whole] == [1] * 3 + [2] * 4 + [3] * 5
    assert [step[0] for step in whole if step[5]] == [3, 7, 12]
    assert [step[6] for step in whole] == [1, 2, 3, 1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert all(later[3] > earlier[3] for earlier, later in pairwise(whole))


def test_a_canvas_is_of_its_scales_size():
    assert [canvas.shape[2] for _, canvas, _ in rendered("adam")] == [4] * 3 + [8] * 4 + [16] * 5


def test_scales_without_steps_are_not_made():
    def unwanted():
        raise AssertionError

    made = scales((0, 0, 2))
    steps = list(run([Scale(0, unwanted), Scale(0, unwanted), made[2]], "lbfgs", identity="toy"))
    assert [step.step for step in steps] == [1, 2]


def test_a_scale_is_made_when_its_turn_has_come_and_a_finished_one_never_again():
    begun = []

    def noted(number, scale):
        def make():
            begun.append(number)
            return scale.make()

        return Scale(scale.steps, make)

    found = run([noted(number, scale) for number, scale in enumerate(scales(), 1)], "adam", identity="toy")
    states = []
    for step in found:
        assert begun == list(range(1, step.scale + 1))
        states.append(step.state("toy", {"precision": "float32"}))
    begun.clear()
    list(
        run([noted(number, scale) for number, scale in enumerate(scales(), 1)], "adam", identity="toy", state=states[2])
    )
    assert begun == [2, 3]


def test_a_state_holds_while_it_is_new_and_is_refused_when_the_render_has_gone_on():
    found = run(scales(), "adam", identity="toy")
    old = next(found)
    next(found)
    with pytest.raises(RuntimeError, match="gone on"):
        old.state("toy", {})


def test_what_the_watcher_raises_stops_the_render_and_the_state_before_goes_on():
    whole, heard = rendered("lbfgs"), []

    def watch():
        heard.append(1)
        if len(heard) == 8:
            raise KeyboardInterrupt

    found = run(scales(), "lbfgs", identity="toy", beat=watch)
    states = (step.state("toy", {"precision": "float32"}) for step in found)
    kept = []
    with pytest.raises(KeyboardInterrupt):
        kept.extend(states)
    rest = rendered("lbfgs", state=kept[-1])
    assert torch.equal(rest[-1][1], whole[-1][1])
    assert rest[-1][0] == whole[-1][0]


def test_bounds_hold_after_a_render_went_on():
    def last(state):
        *_, step = run(scales(bounds=(-1.0, 1.0)), "adam", identity="toy", state=state)
        return step

    first = next(run(scales(bounds=(-1.0, 1.0)), "adam", identity="toy"))
    found = last(first.state("toy", {}))
    assert float(found.canvas.abs().max()) <= 1.0 + 1e-6
    assert torch.equal(found.canvas, last(None).canvas)


def test_a_state_of_another_render_is_refused():
    state = rendered("lbfgs")[4][2]
    with pytest.raises(OtherRender):
        next(run(scales(), "lbfgs", identity="another", state=state))


def test_the_facts_come_back():
    assert facts_of(rendered("gd")[0][2]) == {"precision": "float32"}


def headed(header):
    return save({"canvas": torch.zeros(1, 3, 4)}, {"onelook": header})


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\0",
        b"garbage that is longer than eight bytes",
        b"\xff" * 64,
        (5).to_bytes(8, "little") + b"[1,2]",
        (2).to_bytes(8, "little") + b"{}",
        save({"canvas": torch.zeros(3)}),
        save({"canvas": torch.zeros(3)}, {"other": "1"}),
        headed("no json"),
        headed("[]"),
        headed("{}"),
        headed('"text"'),
        headed(json.dumps({"form": 99, "facts": {}, "identity": "toy"})),
        headed(json.dumps({"form": 1})),
        headed(json.dumps({"form": 1, "facts": {}})),
        headed(json.dumps({"form": 1, "facts": {}, "identity": "toy"})),
    ],
)
def test_what_is_no_state_is_refused(state):
    with pytest.raises(OtherRender):
        next(run(scales(), "lbfgs", identity="toy", state=state))


@pytest.mark.parametrize("state", [b"", b"garbage that is longer than eight bytes", headed(json.dumps({"form": 1}))])
def test_what_is_no_state_has_no_facts(state):
    with pytest.raises(OtherRender):
        facts_of(state)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_state_that_was_cut_short_is_refused(share):
    state = rendered("lbfgs")[4][2]
    with pytest.raises(OtherRender):
        next(run(scales(), "lbfgs", identity="toy", state=state[: int(len(state) * share)]))


def test_a_state_of_another_optimiser_is_refused():
    state = rendered("gd")[4][2]
    with pytest.raises(OtherRender):
        next(run(scales(), "adam", identity="toy", state=state))
