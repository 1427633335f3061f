"""How fast a render gets as good as the known programs' one: seconds until J is at or below theirs.

    python -m benchmarks.style_speed [--sizes 256 512] [--threads 2] [--again]

Tubingen in the style of Starry Night, square, from the content; content conv4_2, style conv1_1 ... conv5_1 with 1/5
each, alpha 1, beta 1e4, maximum pooling, the plain network, and one float32 function for J. The classic one:
`style_classic`, 500 evaluations, with and without a Wolfe search, whichever ends lower. Ours: everything included, from
reading the weights on. Needs ../shared/data. What was run is kept in build/style_speed; --again runs it anew.
"""

import argparse
import json
import statistics
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import style_classic
from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY
from models.style import perceptual, pyramid
from models.style.allocation import keep_memory
from models.style.arithmetic import fastest
from models.style.objective import Objective, Style, Terms
from models.style.render import run
from models.style.stage import Scale, Stage
from models.style.tiles import mean_grams
from models.style.vgg19 import Precision, Vgg19

PICTURES = REPOSITORY.parent / "shared" / "data" / "style"
KEPT = REPOSITORY / "build" / "style_speed"
EVALUATIONS, MOST_OF_OURS = 500, 1200
ALPHA, BETA = 1.0, 1e4
LAYERS = dict.fromkeys(style_classic.STYLE, 0.2)
BAR, BAR_AMX = 0.6, 0.25
LOOK_EVERY = 5


def main() -> None:
    """Races, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="also what was run before")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    KEPT.mkdir(parents=True, exist_ok=True)
    facts = machine()
    runs = {}
    for size in asked.sizes:
        for name in ("plain", "wolfe", "ours"):
            path = KEPT / f"{size}-{name}.json"
            if asked.again or not path.exists():
                path.write_text(json.dumps(_run(size, name, _goal(size) if name == "ours" else 0.0)))
            runs[size, name] = json.loads(path.read_text())
    _tell(facts, asked.sizes, asked.threads, runs)


def _run(size: int, name: str, goal: float) -> dict[str, Any]:
    content, style = picture("tubingen.jpg", size), picture("vangogh_starry_night.jpg", size)
    total = style_classic.cost(style_classic.PlainVgg(), content, style, ALPHA, BETA)
    if name == "ours":
        return ours(content, style, total, goal)
    curve = style_classic.descend(total, content, EVALUATIONS, wolfe=name == "wolfe")
    return {"seconds": curve.seconds, "losses": style_classic.lowest(curve.losses)}


def _goal(size: int) -> float:
    runs = (json.loads((KEPT / f"{size}-{name}.json").read_text()) for name in ("plain", "wolfe"))
    return min(float(one["losses"][-1]) for one in runs)


def ours(content: Tensor, style: Tensor, total: Any, goal: float) -> dict[str, Any]:
    """The engine, from the content, on one scale, until the goal; J is looked at every few steps, outside the clock."""
    start, looked = time.perf_counter(), 0.0
    keep_memory()
    precision = fastest()
    network = perceptual.of_file(REPOSITORY / "models" / "weights" / "vgg19.safetensors")
    found: dict[str, Any] = {"seconds": [], "losses": [], "evaluations": [], "precision": precision}
    make = partial(_stage, content, style, network, precision)
    for step in run([Scale(MOST_OF_OURS, make)], "lbfgs", identity="race"):
        if step.step % LOOK_EVERY:
            continue
        now = time.perf_counter()
        with torch.no_grad():
            loss = float(total(step.canvas))
        found["seconds"].append(now - start - looked)
        found["losses"].append(loss)
        found["evaluations"].append(step.evaluations)
        looked += time.perf_counter() - now
        if loss <= goal:
            break
    return found


def _stage(content: Tensor, style: Tensor, network: Vgg19, precision: Precision) -> Stage:
    computing = network.configured(pooling="max", padding="zeros", precision=precision)
    with torch.no_grad():
        seen = computing(content, [style_classic.CONTENT])[style_classic.CONTENT]
    grams = mean_grams(computing, style, list(LAYERS))
    objective = Objective(computing, seen, [Style(grams)], Terms(ALPHA, BETA, LAYERS, style_classic.CONTENT))
    return Stage(objective, lambda before: content, partial(pyramid.resized, space=tuple(content.shape[2:])))


def picture(name: str, size: int) -> Tensor:
    """float32 (1, 3, size, size), RGB, 0..255."""
    image = Image.open(PICTURES / name).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().contiguous()


def _tell(facts: dict[str, Any], sizes: list[int], threads: int, runs: dict[tuple[int, str], Any]) -> None:
    rows, verdicts = [], []
    amx = "amx_bf16" in facts["flags"]
    for size in sizes:
        classic = min((runs[size, name] for name in ("plain", "wolfe")), key=lambda one: float(one["losses"][-1]))
        goal, seconds = classic["losses"][-1], steady(classic["seconds"])
        mine = runs[size, "ours"]
        for name, one in (("classic, no search", runs[size, "plain"]), ("classic, Wolfe", runs[size, "wolfe"])):
            rows.append(
                [f"{size} px: {name}", EVALUATIONS, f"{steady(one['seconds']):.1f}", f"{one['losses'][-1]:.4g}"]
            )
        rows.append(
            [
                f"{size} px: ours, {mine['precision']}",
                mine["evaluations"][-1],
                f"{steady(mine['seconds']):.1f}",
                f"{mine['losses'][-1]:.4g}",
            ]
        )
        if mine["losses"][-1] <= goal:
            bar = BAR_AMX if amx else BAR
            verdicts.append(
                verdict(f"{size} px, our time / the classic's", steady(mine["seconds"]) / seconds, bar, at_least=False)
            )
        else:
            verdicts.append(f"- {size} px: not reached in {mine['seconds'][-1]:.0f} s: **MISSED**")
    picture_path = REPOSITORY / "docs" / "pictures" / "style-speed.png"
    _draw(picture_path, sizes, runs)
    text = (
        f"{describe(facts)}\n\n{threads} threads.\n\n"
        + table(["", "evaluations", "seconds", "J at the end"], rows)
        + "\n\n"
        + "\n".join(verdicts)
        + "\n\n![J over time and over evaluations, ours and the classic one](pictures/style-speed.png)\n"
    )
    result = {
        "machine": facts,
        "threads": threads,
        "runs": {f"{size} {name}": one for (size, name), one in runs.items()},
    }
    report("style_speed", result, text)


def steady(seconds: list[float]) -> float:
    """Seconds to the end, were every evaluation as fast as the median one: a shared machine's pauses are left out."""
    return seconds[0] + statistics.median(b - a for a, b in pairwise(seconds)) * (len(seconds) - 1)


def _draw(path: Path, sizes: list[int], runs: dict[tuple[int, str], Any]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(sizes), 2, figsize=(9, 3.2 * len(sizes)), squeeze=False)
    labels = {"plain": "classic, no search", "wolfe": "classic, Wolfe", "ours": "ours"}
    for row, size in zip(axes, sizes, strict=True):
        for name, label in labels.items():
            one = runs[size, name]
            row[0].plot(one["seconds"], one["losses"], label=label)
            row[1].plot(one.get("evaluations") or range(1, len(one["losses"]) + 1), one["losses"], label=label)
        for axis, unit in zip(row, ("seconds", "evaluations"), strict=True):
            axis.set_yscale("log")
            axis.set_ylim(top=20 * runs[size, "wolfe"]["losses"][-1])
            axis.set_xlabel(unit)
            axis.set_ylabel(f"J, {size} px")
            axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=70)


if __name__ == "__main__":
    main()
