"""How a canvas gets better: L-BFGS, Adam, and plain gradient descent, a step at a time.

All their state is tensors and plain numbers, so that a render that was stopped goes on bit for bit.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from models.style.curvature import Curvature
from models.style.stage import Losses

Name = Literal["lbfgs", "adam", "gd"]
State = dict[str, Any]
# A canvas -> its costs and gradient.
Look = Callable[[Tensor], tuple[Losses, Tensor]]

PAIRS = 30
# The first steps are this large at most, in units of the canvas: there is no curvature to go by yet.
FIRST_STEP = 1.0
SUFFICIENT, MOST_TRIES = 1e-4, 8
ADAM_RATE, ADAM_BETAS, ADAM_EPSILON = 10.0, (0.9, 0.99), 1e-8
# A loss of Adam that is this many times the best so far is an explosion.
EXPLOSION = 1e3


class Optimizer(ABC):
    """One canvas, float32 of any shape, and how it moves. `step` gives the costs of `canvas` as it then is.

    After each step `canvas` is what the render shows; `evaluations` counts calls of `look`; `event` tells of what went
    wrong in the last step, if anything did.
    """

    def __init__(self, canvas: Tensor, steps: int, bounds: tuple[float, float] | None = None) -> None:
        self.canvas, self.steps, self.bounds = canvas, steps, bounds
        self.taken = self.evaluations = 0
        self.event: str | None = None

    def step(self, look: Look) -> Losses:
        """Moves the canvas once. Raises whatever `look` raises; nothing has changed then."""
        self.event, known = None, self.evaluations
        try:
            losses = self._step(look)
        except BaseException:
            self.evaluations = known
            raise
        self.taken += 1
        return losses

    @abstractmethod
    def _step(self, look: Look) -> Losses:
        """Changes nothing of itself but `evaluations` before the last call of `look` has returned."""

    def _looked(self, look: Look, canvas: Tensor) -> tuple[Losses, Tensor]:
        found = look(canvas)
        self.evaluations += 1
        return found

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Its state, but for the canvas and plain numbers."""

    @abstractmethod
    def numbers(self) -> dict[str, float | int]:
        """Its plain numbers."""

    @abstractmethod
    def take(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Becomes what gave these."""

    @abstractmethod
    def carried(self, resize: Callable[[Tensor], Tensor], before: "Optimizer") -> None:
        """Learns from the optimiser of the scale before what can be enlarged, if anything."""


class GradientDescent(Optimizer):
    """As the textbook has it: x - rate g; the rate halves when the loss rises, and creeps up while it falls.

    The first step moves the most moved value by one unit.
    """

    def __init__(self, canvas: Tensor, steps: int, bounds: tuple[float, float] | None = None) -> None:
        super().__init__(canvas, steps, bounds)
        self._rate = 0.0
        self._now: tuple[Losses, Tensor] | None = None

    def _step(self, look: Look) -> Losses:
        now = self._now or self._looked(look, self.canvas)
        losses, gradient = now
        rate = self._rate or FIRST_STEP / max(float(gradient.abs().max()), 1e-30)
        for _ in range(MOST_TRIES):
            moved = _within(self.canvas - rate * gradient, self.bounds)
            found = self._looked(look, moved)
            if _sound(found) and found[0].total <= losses.total:
                self.canvas, self._now, self._rate = moved, found, rate * 1.1
                return found[0]
            rate *= 0.5
        self._now, self._rate = now, rate
        self.event = "the rate of gradient descent was halved too often: no better canvas is near"
        return losses

    def tensors(self) -> dict[str, Tensor]:
        return {} if self._now is None else {"gradient": self._now[1]}

    def numbers(self) -> dict[str, float | int]:
        return {"rate": self._rate, **_plain(self._now)}

    def take(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self._rate, self._now = float(numbers["rate"]), _known(tensors, numbers)

    def carried(self, resize: Callable[[Tensor], Tensor], before: Optimizer) -> None:
        pass  # a rate belongs to its scale


class Adam(Optimizer):
    """Kingma, Ba 2015, with a cosine schedule, and the average of its iterates as what is shown.

    Averaging: exponential, 0.99, corrected for its start, as crowsonkb's style-transfer-pytorch does. The losses of a
    step are those of the canvas it began with.
    """

    AVERAGE = 0.99

    def __init__(self, canvas: Tensor, steps: int, bounds: tuple[float, float] | None = None) -> None:
        super().__init__(canvas, steps, bounds)
        self._point = canvas.clone()
        self._first, self._second = torch.zeros_like(canvas), torch.zeros_like(canvas)
        self._mean = torch.zeros_like(canvas)
        self._moments = self._averaged = 0
        self._best = math.inf

    def _step(self, look: Look) -> Losses:
        found = self._looked(look, self._point)
        losses, gradient = found
        if not _sound(found) or losses.total > EXPLOSION * self._best:
            self._point, self._moments = self.canvas.clone(), 0
            self._first.zero_()
            self._second.zero_()
            self.event = "the loss exploded: back to the average of the canvases before"
            return losses
        self._best = min(self._best, losses.total)
        self._moments += 1
        self._first.lerp_(gradient, 1 - ADAM_BETAS[0])
        self._second.lerp_(gradient.square(), 1 - ADAM_BETAS[1])
        first = self._first / (1 - ADAM_BETAS[0] ** self._moments)
        second = self._second / (1 - ADAM_BETAS[1] ** self._moments)
        rate = ADAM_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, self.taken / max(1, self.steps)))))
        self._point = _within(self._point - rate * first / (second.sqrt() + ADAM_EPSILON), self.bounds)
        self._mean.lerp_(self._point, 1 - self.AVERAGE)
        self._averaged += 1
        self.canvas = self._mean / (1 - self.AVERAGE**self._averaged)
        return losses

    def tensors(self) -> dict[str, Tensor]:
        return {"point": self._point, "first": self._first, "second": self._second, "mean": self._mean}

    def numbers(self) -> dict[str, float | int]:
        best = self._best if math.isfinite(self._best) else -1.0
        return {"moments": self._moments, "averaged": self._averaged, "best": best}

    def take(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self._point, self._first, self._second, self._mean = (
            tensors[name].clone() for name in ("point", "first", "second", "mean")
        )
        self._moments, self._averaged = int(numbers["moments"]), int(numbers["averaged"])
        self._best = float(numbers["best"]) if numbers["best"] >= 0 else math.inf

    def carried(self, resize: Callable[[Tensor], Tensor], before: Optimizer) -> None:
        # The moments enlarged, as crowsonkb's program does: the first steps of a scale are not blind.
        if isinstance(before, Adam):
            self._first, self._second = resize(before._first), resize(before._second).relu()
            self._moments = before._moments


class Lbfgs(Optimizer):
    """L-BFGS with the last PAIRS pairs of steps and gradients (`curvature`).

    The whole step is tried first, and taken where the loss falls enough (Armijo); else it is shortened by quadratic
    interpolation. One evaluation a step is the rule. A pair is kept where its curvature is positive. Where no length
    helps, or the loss is no number, the canvas stays the best so far and what was learned is forgotten.
    """

    def __init__(self, canvas: Tensor, steps: int, bounds: tuple[float, float] | None = None) -> None:
        super().__init__(canvas, steps, bounds)
        self._now: tuple[Losses, Tensor] | None = None
        self._curvature = Curvature(PAIRS)

    def _step(self, look: Look) -> Losses:
        now = self._now or self._looked(look, self.canvas)
        losses, gradient = now
        direction = self._curvature.direction(gradient)
        slope = float((direction * gradient).sum())
        if not math.isfinite(losses.total) or not math.isfinite(slope) or slope >= 0:
            return self._forget(now)
        length = 1.0 if len(self._curvature) else FIRST_STEP / max(float(direction.abs().max()), 1e-30)
        for _ in range(MOST_TRIES):
            moved = self.canvas + length * direction
            found = self._looked(look, moved)
            after = found[0].total
            if _sound(found) and after <= losses.total + SUFFICIENT * length * slope:
                self._curvature.keep(moved - self.canvas, found[1] - gradient)
                self.canvas, self._now = moved, found
                return found[0]
            length *= _shorter(losses.total, slope * length, after)
        return self._forget(now)

    def _forget(self, now: tuple[Losses, Tensor]) -> Losses:
        if not len(self._curvature):
            self.event = "no step lowers the loss any more: the canvas stays the best so far"
        else:
            self.event = "the loss rose along every step: back to the best canvas, and what was learned is forgotten"
        self._now = now
        self._curvature.forget()
        return now[0]

    def tensors(self) -> dict[str, Tensor]:
        found = self._curvature.tensors()
        if self._now is not None:
            found["gradient"] = self._now[1]
        return found

    def numbers(self) -> dict[str, float | int]:
        return _plain(self._now)

    def take(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        self._curvature.take(tensors)
        self._now = _known(tensors, numbers)

    def carried(self, resize: Callable[[Tensor], Tensor], before: Optimizer) -> None:
        pass  # what a step changed in the gradient of the coarser objective says little of the finer one


OPTIMIZERS: dict[Name, type[Optimizer]] = {"lbfgs": Lbfgs, "adam": Adam, "gd": GradientDescent}


def _within(canvas: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    return canvas if bounds is None else canvas.clamp(*bounds)


def _shorter(before: float, slope: float, after: float) -> float:
    """By how much to shorten: to the least point of the parabola through what is known, between a tenth and a half."""
    bend = after - before - slope
    if not math.isfinite(bend) or bend <= 0:
        return 0.1 if not math.isfinite(bend) else 0.5
    return min(0.5, max(0.1, -slope / (2 * bend)))


def _sound(found: tuple[Losses, Tensor]) -> bool:
    return math.isfinite(found[0].total) and bool(found[1].isfinite().all())


def _plain(now: tuple[Losses, Tensor] | None) -> dict[str, float | int]:
    """The losses of what is known of the canvas, as plain numbers; `_known` reads them."""
    if now is None:
        return {}
    losses = now[0]
    layers = {f"at {name}": cost for name, cost in losses.per_layer.items()}
    return {"total": losses.total, "content": losses.content, "style": losses.style, **layers}


def _known(tensors: dict[str, Tensor], numbers: dict[str, Any]) -> tuple[Losses, Tensor] | None:
    if "gradient" not in tensors:
        return None
    layers = {name[3:]: float(value) for name, value in numbers.items() if name.startswith("at ")}
    losses = Losses(float(numbers["total"]), float(numbers["content"]), float(numbers["style"]), layers)
    return losses, tensors["gradient"].clone()
