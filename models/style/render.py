"""A render, a step at a time: through the scales, from the coarsest to the last, from any state that was kept.

What is saved, shown or cancelled is the caller's: a render only yields where it is, and forgets nothing that it needs
to go on bit for bit on the same machine, threads and precision.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.errors import OtherRender
from models.style.optimise import OPTIMIZERS, Name, Optimizer
from models.style.stage import Beat, Losses, Scale, Stage, silence

# What a state says of itself, under this name of its header; and the version of its form.
HEADER, FORM = "onelook", 1
FIELDS = {"identity", "facts", "scale", "step", "taken", "evaluations", "of_scale", "numbers"}


@dataclass(frozen=True)
class Step:
    """Where a render is. scale and step count from 1, step over all scales; canvas: float32 (1, C, *space)."""

    step: int
    scale: int
    canvas: Tensor
    losses: Losses
    evaluations: int
    warning: str | None
    last_of_scale: bool
    optimizer: Optimizer
    taken: int

    def state(self, identity: str, facts: dict[str, Any]) -> bytes:
        """What `run` goes on from. identity: of the files and options; facts: what else the caller wants back.

        Raises RuntimeError once the render has gone on: its optimiser is no longer where this step was.
        """
        if self.optimizer.taken != self.taken:
            raise RuntimeError("the render has gone on since this step: ask for its state before the next one")
        header = {
            "form": FORM,
            "identity": identity,
            "facts": facts,
            "scale": self.scale,
            "step": self.step,
            "taken": self.taken,
            "evaluations": self.evaluations,
            "of_scale": self.optimizer.evaluations,
            "numbers": self.optimizer.numbers(),
        }
        tensors = {f"optimizer.{name}": value for name, value in self.optimizer.tensors().items()}
        tensors["canvas"] = self.canvas
        return save({name: value.contiguous().cpu() for name, value in tensors.items()}, {HEADER: json.dumps(header)})


@dataclass(frozen=True)
class _Place:
    """From where a render goes on."""

    scale: int = 1
    step: int = 0
    taken: int = 0
    evaluations: int = 0
    of_scale: int = 0
    canvas: Tensor | None = None
    tensors: dict[str, Tensor] | None = None
    numbers: dict[str, Any] | None = None


def run(
    scales: Sequence[Scale],
    optimizer: Name,
    *,
    identity: str,
    extra: int = 0,
    state: bytes | None = None,
    beat: Beat = silence,
    device: str = "cpu",
) -> Iterator[Step]:
    """Yields after every step. extra: steps at the last scale beyond its own. Raises OtherRender, and what beat raises.

    device: where the stages compute; a state comes from anywhere.

    The loss of a step is that of the canvas it ends with; of Adam that of the point it looked at.
    """
    place = _Place() if state is None else _placed(state, identity, device)
    before: Optimizer | None = None
    step, evaluations = place.step, place.evaluations
    for number, scale in enumerate(scales, 1):
        if number < place.scale or (not scale.steps and number < len(scales)):
            continue
        steps = scale.steps + (extra if number == len(scales) else 0)
        goes_on = number == place.scale and place.canvas is not None
        if goes_on and place.taken >= steps and number < len(scales):
            before = _resumed(place, OPTIMIZERS[optimizer], scale.steps, None)
            continue
        stage = scale.make()
        if goes_on:
            worker = _resumed(place, OPTIMIZERS[optimizer], scale.steps, stage)
        else:
            # Contiguous, as a state gives it back: sums over another layout end in other last bits.
            canvas = stage.begin(None if before is None else before.canvas).contiguous()
            worker = OPTIMIZERS[optimizer](canvas, scale.steps, stage.bounds)
            if before is not None:
                worker.carried(stage.enlarge, before)
        while worker.taken < steps:
            known = worker.evaluations
            losses = worker.step(lambda canvas: stage.evaluate(canvas, beat, worker.evaluations))  # noqa: B023
            step, evaluations = step + 1, evaluations + worker.evaluations - known
            last = worker.taken == steps
            yield Step(step, number, worker.canvas, losses, evaluations, worker.event, last, worker, worker.taken)
        before = worker


def facts_of(state: bytes) -> dict[str, Any]:
    """What the caller gave to `Step.state`. Raises OtherRender for what is no state."""
    facts: dict[str, Any] = _header(state)["facts"]
    return facts


def _resumed(place: _Place, kind: type[Optimizer], steps: int, stage: Stage | None) -> Optimizer:
    assert place.canvas is not None
    worker = kind(place.canvas, steps, None if stage is None else stage.bounds)
    try:
        worker.take(place.tensors or {}, place.numbers or {})
    except KeyError as e:
        raise OtherRender from e
    worker.taken, worker.evaluations = place.taken, place.of_scale
    return worker


def _placed(state: bytes, identity: str, device: str) -> _Place:
    header = _header(state)
    if header["identity"] != identity:
        raise OtherRender
    tensors = {name: value.to(device) for name, value in load(state).items()}
    mine = {name.removeprefix("optimizer."): value for name, value in tensors.items() if name != "canvas"}
    return _Place(
        header["scale"],
        header["step"],
        header["taken"],
        header["evaluations"],
        header["of_scale"],
        tensors["canvas"],
        mine,
        header["numbers"],
    )


def _header(state: bytes) -> dict[str, Any]:
    try:
        length = int.from_bytes(state[:8], "little")
        header = json.loads(json.loads(state[8 : 8 + length])["__metadata__"][HEADER])
        if header["form"] != FORM or not header.keys() >= FIELDS or "canvas" not in load(state):
            raise OtherRender
    except (KeyError, ValueError, TypeError, SafetensorError) as e:
        raise OtherRender from e
    return dict(header)
