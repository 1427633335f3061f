"""The training itself: batches, two views, one step after the other, and the average of the weights on the way."""

import dataclasses
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.encoder import Encoder
from models.metric.sampling import Ints, PeopleBatches
from models.training.checkpoint import load_checkpoint, save_checkpoint
from models.training.dataset import Faces
from models.training.objective import Objective, Recipe
from models.training.validation import Validation
from models.training.views import views

# Batches that are made ahead, beside the step that runs.
AHEAD = 3
# What begins at nothing learns as if it were of this size.
LEAST_SIZE = 1e-3


@dataclass(frozen=True, slots=True)
class Course:
    """How long, how fast, and how much at a time.

    rate: in terms of the size of what learns (root mean square at the start), as in Adafactor (Shazeer and Stern 2018):
    the last layer's weights are a hundred times smaller than the first's, and one rate for all would tear it apart.
    average: the share of the old in the average of weights at each step.
    """

    steps: int = 1000
    people: int = 12
    photos: int = 4
    rate: float = 1.5e-3
    warm_up: int = 20
    decay: float = 0.0
    average: float = 0.99
    validate_every: int = 50
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """After one step; step 0 is before the first. validated: TMR of the averaged weights, where this step looked."""

    step: int
    steps: int
    loss: float = math.nan
    identity: float = math.nan
    degraded: float = math.nan
    clean: float = math.nan
    active: float = math.nan
    images_per_s: float = math.nan
    validated: dict[str, float] | None = None


@dataclass(eq=False)
class Training:
    """One run, in a folder: `checkpoint.pt`. Made anew with the same arguments it goes on where it stopped.

    precision: bfloat16 or float16 runs the products in it, by autocast; weights and what is learnt stay float32.
    """

    network: Encoder = field(repr=False)
    faces: Faces = field(repr=False)
    validation: Validation = field(repr=False)
    folder: Path
    recipe: Recipe
    course: Course
    init: str = "weights"
    device: str = "cpu"
    precision: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        """Reads the checkpoint where there is one. Raises ValueError for one of other settings."""
        self.network.to(self.device)
        self.objective = Objective(self.recipe).to(self.device)
        learning = [*self.network.parameters(), *self.objective.parameters()]
        groups = [
            {"params": [one], "size": max(LEAST_SIZE, float(one.detach().square().mean().sqrt()))} for one in learning
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=self.course.rate, weight_decay=self.course.decay)
        self._person = self.faces.person()
        self._batches = PeopleBatches(self._person, self.course.people, self.course.photos)
        self.average = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.history: list[dict[str, Any]] = []
        self.step = 0
        # As plain numbers and texts, which is what a checkpoint may hold.
        self._made_of = {
            "recipe": dataclasses.asdict(self.recipe),
            "course": dataclasses.asdict(self.course),
            "init": self.init,
            "photos": len(self.faces),
        }
        state = load_checkpoint(self._file, self._made_of)
        if state is not None:
            self._go_on_from(state)

    @property
    def _file(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Steps until the course is over; checkpoints at each validation and at the end."""
        course = self.course
        if self.step == 0:
            start = Progress(0, course.steps, validated=self._validated())
            self.history.append({"step": 0, "validated": start.validated})
            tell(start)
        began = time.perf_counter()
        for step, batch, crops in self._ahead():
            parts = self._learn(batch, crops, step)
            self.step = step + 1
            over = self.step == course.steps
            looks = over or self.step % course.validate_every == 0
            speed = len(crops) / max(1e-9, time.perf_counter() - began)
            progress = Progress(self.step, course.steps, *parts, speed)
            if looks:
                progress = dataclasses.replace(progress, validated=self._validated())
            self.history.append(dataclasses.asdict(progress))
            if looks:
                self._save()
            tell(progress)
            began = time.perf_counter()

    def _learn(self, batch: Ints, crops: Tensor, step: int) -> tuple[float, float, float, float, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = self.course.rate * group["size"] * _schedule(step, self.course)
        with torch.autocast(self.device, self.precision, enabled=self.precision != torch.float32):
            out = self.network(crops.to(self.device).float())
        chance = torch.Generator().manual_seed(self.course.seed * 1_000_003 + step)
        person = torch.from_numpy(self._person[batch]).to(self.device)
        teacher = torch.from_numpy(self.faces.teacher[batch]).to(self.device)
        parts = self.objective(normalize(out.float()), person, teacher, chance)
        self._optimizer.zero_grad(set_to_none=True)
        parts.total.backward()
        self._optimizer.step()
        # In the beginning the average is of what there is so far.
        keep = min(self.course.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - keep)
                else:
                    self.average[name].copy_(tensor)
        return float(parts.total.detach()), parts.identity, parts.degraded, parts.clean, parts.active

    def _validated(self) -> dict[str, float]:
        own = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        rates = self.validation.tmr(self.network, self.device, self.precision)
        self.network.load_state_dict(own)
        return rates

    def _ahead(self) -> Iterator[tuple[int, Ints, Tensor]]:
        """The batches of the remaining steps with their views, made in a thread beside."""
        made: queue.Queue[tuple[int, Ints, Tensor] | BaseException | None] = queue.Queue(AHEAD)
        stop = threading.Event()

        def put(one: tuple[int, Ints, Tensor] | BaseException | None) -> None:
            while not stop.is_set():
                try:
                    made.put(one, timeout=0.2)
                except queue.Full:
                    continue
                return

        def make() -> None:
            try:
                for step, batch in self._numbered():
                    # Seeded by the step: a run that was stopped goes on with what would have come.
                    put((step, batch, views(self.faces, batch, np.random.default_rng([self.course.seed, 3, step]))))
                    if stop.is_set():
                        return
                put(None)
            except BaseException as e:  # shown where the batches are taken
                put(e)

        maker = threading.Thread(target=make, name="views", daemon=True)
        maker.start()
        try:
            while (one := made.get()) is not None:
                if isinstance(one, BaseException):
                    raise one
                yield one
        finally:
            stop.set()
            maker.join()

    def _numbered(self) -> Iterator[tuple[int, Ints]]:
        number = epoch = 0
        while True:
            for batch in self._batches.epoch(np.random.default_rng([self.course.seed, 2, epoch])):
                if number >= self.step:
                    yield number, batch
                number += 1
                if number >= self.course.steps:
                    return
            epoch += 1

    def _save(self) -> None:
        save_checkpoint(
            self._file,
            {
                "recipe": self._made_of,
                "step": self.step,
                "network": self.network.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "average": self.average,
                "history": self.history,
            },
        )

    def _go_on_from(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.objective.load_state_dict(state["objective"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average = {name: tensor.to(self.device) for name, tensor in state["average"].items()}
        self.history, self.step = state["history"], state["step"]


def _schedule(step: int, course: Course) -> float:
    """The rate's factor: up in a straight line, then down along a cosine."""
    if step < course.warm_up:
        return (step + 1) / course.warm_up
    done = (step - course.warm_up) / max(1, course.steps - course.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
