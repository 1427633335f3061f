"""Which loss, and with which mining: TMR of people never seen against the step, for each on the same data and budget.

    python -m benchmarks.losses [--data FOLDER ...] [--faces FILE] [--steps 100] [--scratch-steps 300] [--only NAME ...]

Resumable: the same command goes on in the run where it was stopped, and runs nothing twice.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.cli.train import has_bfloat16
from benchmarks.machine import describe, machine
from benchmarks.report import PAGE, report, table
from models.measure.learning_plot import LearningCurve, draw_learning
from models.measure.plots import needs_matplotlib
from models.training.comparison import Learnt, Run, learn, learnt, runs_of
from models.training.loop import Course, Progress
from models.training.train import Prepared, prepare
from models.training.validation import MOST_PEOPLE

DATA = (Path("../shared/data/celeba_wild"), Path("../shared/data/celeba_small"))
PICTURE = PAGE.parent / "pictures" / "losses.png"
VIEWS = ("clean", "degraded")
TELL_EVERY = 10
MOMENTS = ("start", "best", "end")
HEADER = (
    *("loss, mining", "margin", "steps", "active"),
    *(f"{view}, {moment}" for view in VIEWS for moment in MOMENTS),
    "s",
)


def main() -> None:
    """Trains what is not trained yet, and reports whatever is over."""
    asked = _asked()
    needs_matplotlib()
    facts, device = machine(), "cuda" if torch.cuda.is_available() else "cpu"
    precision = torch.bfloat16 if device == "cuda" or has_bfloat16() else torch.float32
    course = Course(
        steps=asked.steps,
        people=asked.people,
        photos=asked.photos,
        validate_every=asked.every,
        seed=asked.seed,
    )
    runs = runs_of(course, asked.scratch_steps)
    print("finding faces, unless they were found before", file=sys.stderr)
    prepared = prepare(asked.data, asked.faces or asked.out / "faces.npz", refine=asked.refine, device=device)
    for run in runs:
        if not asked.only or run.name in asked.only:
            print(run.name, file=sys.stderr)
            learn(run, asked.out, prepared, device=device, precision=precision, tell=_tell)
    over = [one for run in runs if (one := learnt(run, asked.out, prepared)) is not None]
    result = {
        "machine": facts,
        "device": device,
        "precision": str(precision).removeprefix("torch."),
        "data": [folder.name for folder in asked.data],
        "faces": _counted(prepared),
        "course": asdict(course),
        "runs": [_as_held(one) for one in over],
    }
    report("losses", result, as_text(result))
    draw_learning([_line(one) for one in over], PICTURE)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", default=DATA, help="folders with a folder a person")
    parser.add_argument("--faces", type=Path, help="faces that were found before in these very folders; it holds faces")
    parser.add_argument("--out", type=Path, default=Path("build/losses"), help="a folder a run; what is there goes on")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--scratch-steps", type=int, default=300, help="steps of the run from random weights")
    parser.add_argument("--people", type=int, default=12, help="people in a batch")
    parser.add_argument("--photos", type=int, default=4, help="photos of each")
    parser.add_argument("--every", type=int, default=20, help="steps between looks and checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--refine", action=argparse.BooleanOptionalAction, default=True, help="as in `onelook train`")
    parser.add_argument("--only", nargs="+", help="names of the runs to train now, as the table writes them")
    asked = parser.parse_args()
    names = [run.name for run in runs_of(Course(), 1)]
    unknown = sorted(set(asked.only or ()) - set(names))
    if unknown:
        parser.error(f"no such run: {'; '.join(unknown)}; there are: {'; '.join(names)}")
    return asked


def _tell(progress: Progress) -> None:
    seen = "".join(f"  {name} {rate:.2%}" for name, rate in (progress.validated or {}).items())
    if seen or progress.step % TELL_EVERY == 0:
        loss = f"  loss {progress.loss:.4f}  {progress.images_per_s:.1f} images/s" if progress.step else ""
        print(f"{progress.step:6}/{progress.steps}{loss}{seen}", file=sys.stderr, flush=True)


def _counted(prepared: Prepared) -> dict[str, int]:
    several = int((np.bincount(prepared.validation.person()) > 1).sum())
    return {
        "photos": len(prepared.train),
        "people": len(set(prepared.train.identities)),
        "left_out": prepared.dropped,
        "looked_at": min(MOST_PEOPLE, several),
    }


def _as_held(one: Learnt) -> dict[str, Any]:
    run: Run = one.run
    return {
        "name": run.name,
        "recipe": asdict(run.recipe),
        "init": run.init,
        "steps": run.course.steps,
        "rate": run.course.rate,
        "seconds": one.seconds,
        "images_per_s": one.images_per_s,
        "looks": [asdict(look) for look in one.looks],
    }


def _line(one: Learnt) -> LearningCurve:
    shares = {f"TMR at FMR 1e-3, {view} probes": [getattr(look, view) for look in one.looks] for view in VIEWS}
    return LearningCurve(one.run.name, one.run.kind, one.run.recipe.mining, [look.step for look in one.looks], shares)


def as_text(result: dict[str, Any]) -> str:
    """What was trained on, the table, and the picture, in Markdown."""
    faces, course, runs = result["faces"], result["course"], result["runs"]
    seconds = sum(run["seconds"] for run in runs)
    spent = (
        f"{faces['photos']:,} photos of {faces['people']:,} people of {' and '.join(result['data'])}, "
        f"{faces['left_out']} more left out that show somebody else; {faces['looked_at']} other people are looked at. "
        f"{course['people']} people with {course['photos']} photos in a batch, each in two views; "
        f"seed {course['seed']}; {result['precision']} on {result['device']}. "
        f"{len(runs)} runs, {seconds:,.0f} s of steps altogether, "
        f"{statistics.median(run['images_per_s'] for run in runs):.1f} images a second in the median run."
    )
    return "\n\n".join(
        (
            describe(result["machine"]),
            spent,
            table(HEADER, [_row(run) for run in runs]),
            f"![TMR of people never seen against the step, a line for each run](pictures/{PICTURE.name})",
        )
    )


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    recipe, looks = run["recipe"], run["looks"]
    active = sum(look["active"] * (look["step"] - before["step"]) for before, look in pairwise(looks)) / run["steps"]
    return (
        run["name"],
        "" if recipe["loss"].startswith("siamese") else f"{recipe['alpha']:g}",
        str(run["steps"]),
        f"{active:.0%}",
        *(cell for view in VIEWS for cell in _moments([(look["step"], look[view]) for look in looks])),
        f"{run['seconds']:.0f}",
    )


def _moments(shares: Sequence[tuple[int, float]]) -> tuple[str, str, str]:
    best, rate = max(shares, key=lambda one: one[1])
    return f"{shares[0][1]:.1%}", f"{rate:.1%} at {best}", f"{shares[-1][1]:.1%}"


if __name__ == "__main__":
    main()
