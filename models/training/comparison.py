"""Losses side by side: the same people, batches, views and start, so that only the loss and its mining decide."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.metric.mining import Mining
from models.training.loop import Course, Progress
from models.training.objective import Loss, Recipe
from models.training.train import Init, Prepared, train

# Embeddings begin about their mean: two strangers lie 1.41 apart, and one pair in a hundred closer than 1.24. With a
# contrastive margin of 1, as is often taken, hardly any stranger would ever be pushed away; with 1.3 some of chance
# count, one in fifteen or so, and nearly all of the closest.
ALPHAS: dict[Loss, float] = {"triplet": 0.35, "triplet-unsquared": 0.2, "contrastive": 1.3}
COMPARED: tuple[tuple[Loss, Mining], ...] = (
    ("triplet", "random"),
    ("triplet", "semi-hard"),
    ("triplet", "hard"),
    ("triplet-unsquared", "semi-hard"),
    ("contrastive", "random"),
    ("contrastive", "hard"),
    ("siamese", "random"),
    ("siamese", "hard"),
    ("siamese-concatenated", "random"),
    ("siamese-concatenated", "hard"),
)
# Of the size of the weights: what is to be found first must move further than what is known already.
RATE_FROM_SCRATCH = 2e-2
CURVE = "curve.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the comparison. kind: what it is besides its mining."""

    kind: str
    recipe: Recipe
    course: Course
    init: Init = "weights"

    @property
    def name(self) -> str:
        """Kind and mining; no two runs share it."""
        return f"{self.kind}, {self.recipe.mining}"

    def folder(self, within: Path) -> Path:
        """Where it keeps what it has."""
        return within / self.name.replace(",", "").replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Look:
    """TMR at FMR 1e-3 of the averaged weights after that step; loss, active: means since the look before, none at 0."""

    step: int
    clean: float
    degraded: float
    loss: float | None = None
    active: float | None = None


@dataclass(frozen=True, slots=True)
class Learnt:
    """A run that is over. seconds: of its steps, without looks; images_per_s: of its median step."""

    run: Run
    looks: tuple[Look, ...]
    seconds: float
    images_per_s: float


def runs_of(course: Course, steps_from_scratch: int) -> tuple[Run, ...]:
    """Every loss with mining on and off and without a teacher; one with the teacher, and one from scratch.

    The last alone takes another number of steps, and another rate.
    """
    alone = [_alone(loss, mining) for loss, mining in COMPARED]
    longer = dataclasses.replace(course, steps=steps_from_scratch, rate=RATE_FROM_SCRATCH)
    return (
        *(Run(recipe.loss, recipe, course) for recipe in alone),
        Run("triplet with the teacher", Recipe(), course),
        Run("triplet from scratch", _alone("triplet", "semi-hard"), longer, "scratch"),
    )


def learnt(run: Run, within: Path, prepared: Prepared) -> Learnt | None:
    """What that run came to, if it is over. Raises ValueError where the folder holds one of other settings."""
    file = run.folder(within) / CURVE
    if not file.exists():
        return None
    held = json.loads(file.read_text(encoding="utf-8"))
    if held["made_of"] != _made_of(run, prepared):
        raise ValueError(f"{file} was made with other settings: name another folder, or the same settings")
    return Learnt(run, tuple(Look(**look) for look in held["looks"]), held["seconds"], held["images_per_s"])


def learn(
    run: Run,
    within: Path,
    prepared: Prepared,
    *,
    device: str = "cpu",
    precision: torch.dtype = torch.float32,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Learnt:
    """Trains, goes on where it was stopped, or only reads what it came to when it is over.

    Leaves in the run's folder `curve.json` beside what `train` leaves; the checkpoint goes once that is written.
    """
    over = learnt(run, within, prepared)
    if over is not None:
        return over
    folder = run.folder(within)
    train(prepared, folder, run.recipe, run.course, init=run.init, device=device, precision=precision, tell=tell)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    speeds = [line["images_per_s"] for line in lines[1:]]
    images = 2 * run.course.people * run.course.photos
    done = Learnt(run, looks_in(lines), sum(images / speed for speed in speeds), statistics.median(speeds))
    held = {
        "made_of": _made_of(run, prepared),
        "looks": [asdict(look) for look in done.looks],
        "seconds": done.seconds,
        "images_per_s": done.images_per_s,
    }
    partial = folder / f".{CURVE}.part"
    partial.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / CURVE)
    (folder / "checkpoint.pt").unlink()
    return done


def looks_in(lines: Sequence[dict[str, Any]]) -> tuple[Look, ...]:
    """The lines of a run's log -> its looks; loss and active are means over the steps since the look before."""
    looks: list[Look] = []
    since: list[dict[str, Any]] = []
    for line in lines:
        if line["step"] > 0:
            since.append(line)
        seen = line["validated"]
        if seen is None:
            continue
        means = [statistics.fmean(one[key] for one in since) if since else None for key in ("identity", "active")]
        looks.append(Look(line["step"], seen["clean"], seen["degraded"], *means))
        since = []
    return tuple(looks)


def _alone(loss: Loss, mining: Mining) -> Recipe:
    return Recipe(loss, mining, ALPHAS.get(loss, Recipe().alpha), of_identity=1.0, of_degraded=0.0, of_clean=0.0)


def _made_of(run: Run, prepared: Prepared) -> dict[str, Any]:
    return {
        "recipe": asdict(run.recipe),
        "course": asdict(run.course),
        "init": run.init,
        "photos": [len(prepared.train), len(prepared.validation)],
    }
