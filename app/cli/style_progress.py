"""How far a render is: a live line in a terminal, plain lines elsewhere, both on standard error."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from app.cli.plainly import shown

if TYPE_CHECKING:
    from models.style.plan import Progress

# Plain lines are at least so many seconds apart, but for the last of each scale.
TELL_EVERY_S = 10.0
# A step of a scale takes so many times as long as one of the scale before, until that was measured.
GROWTH = 4.0
# Columns of a terminal that has room for everything.
WIDE = 110
# How much a step's time counts in the mean of those before.
SHARE = 0.3


class Pace:
    """How fast a render is, and how long it still takes.

    steps: of each scale, the coarsest first. The first step of a scale also makes its stage, and counts only as long
    as it is the only one.
    """

    def __init__(self, steps: Sequence[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._clock = steps, clock
        self._per_step_s: dict[int, float] = {}
        self._taken: dict[int, int] = {}
        self._at_s, self._evaluations, self._scale, self._done = clock(), 0, 0, 0
        self.evaluations_per_s = 0.0

    def starts_from(self, evaluations: int) -> None:
        """So many were done before, by the render that is gone on with."""
        self._evaluations = evaluations

    def note(self, scale: int, done: int, evaluations: int) -> None:
        """A step was taken. done: steps over all scales."""
        now_s = self._clock()
        spent_s, self._at_s = max(1e-9, now_s - self._at_s), now_s
        count = self._taken[scale] = self._taken.get(scale, 0) + 1
        rate = (evaluations - self._evaluations) / spent_s
        if count <= 2:  # the first was slow for another reason: the second stands alone
            self._per_step_s[scale], self.evaluations_per_s = spent_s, rate
        else:
            self._per_step_s[scale] += SHARE * (spent_s - self._per_step_s[scale])
            self.evaluations_per_s += SHARE * (rate - self.evaluations_per_s)
        self._evaluations, self._scale, self._done = evaluations, scale, done

    def left_s(self) -> float | None:
        """Seconds until the end, estimated; None before the first step."""
        if not self._scale:
            return None
        per_step_s, left_s = self._per_step_s[self._scale], 0.0
        end = 0
        for number, steps in enumerate(self._steps, 1):
            begin, end = end, end + steps
            to_do = max(0, end - max(begin, self._done))
            left_s += to_do * per_step_s * self._growth() ** max(0, number - self._scale)
        return left_s

    def _growth(self) -> float:
        before, now = (self._per_step_s.get(scale) for scale in (self._scale - 1, self._scale))
        if before is None or now is None or min(self._taken[self._scale - 1], self._taken[self._scale]) < 2:
            return GROWTH
        return max(1.0, now / before)


class Display(Protocol):
    """Shows where a render is."""

    def show(self, progress: "Progress", pace: Pace) -> None:
        """After each step."""
        ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...


@contextmanager
def display(steps: int, done: int = 0, *, what: str = "") -> Iterator[Display]:
    """A live line where standard error is a terminal, else plain ones. steps: in all; what: stands before them."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(what)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bar(*columns, console=console, expand=True) as bar:
        yield _Line(bar, what, steps, done)


def described(progress: "Progress", pace: Pace, *, briefly: bool = False) -> str:
    """Losses, speed, and what is left."""
    losses, left_s = progress.losses, pace.left_s()
    left = "" if left_s is None else f"  {timedelta(seconds=round(left_s))} left"
    speed = pace.evaluations_per_s
    total = "" if briefly else f" total {losses.total:.4g}"
    told = f"content {losses.content:.3g} style {losses.style:.3g}{total}"
    return f"{told}  {speed:.{2 if speed < 1 else 1}f} evaluations/s{left}"


class _Line:
    def __init__(self, bar: Bar, what: str, steps: int, done: int) -> None:
        self._bar, self._what = bar, what
        self._task = bar.add_task(f"{what}beginning", total=steps, completed=done, text="")

    def show(self, progress: "Progress", pace: Pace) -> None:
        where = f"{self._what}scale {progress.scale}/{progress.scales}"
        self._bar.update(self._task, description=where, completed=progress.step, text=self._described(progress, pace))

    def say(self, text: str) -> None:
        self._bar.console.print(shown(text), markup=False, soft_wrap=True)

    def _described(self, progress: "Progress", pace: Pace) -> str:
        return described(progress, pace, briefly=self._bar.console.width < WIDE)


class _Lines:
    def __init__(self, what: str) -> None:
        self._what = what
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._told_s = 0.0

    def show(self, progress: "Progress", pace: Pace) -> None:
        now_s = time.monotonic()
        if not progress.last_of_scale and now_s - self._told_s < TELL_EVERY_S:
            return
        self._told_s = now_s
        where = f"{self._what}scale {progress.scale}/{progress.scales}  step {progress.step}/{progress.steps}"
        self.say(f"{where}  {described(progress, pace)}")

    def say(self, text: str) -> None:
        self._console.print(shown(text), markup=False)
