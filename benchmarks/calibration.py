"""Whether calibrated rates hold on people never used for calibration, and whether the probability means what it says.

    python -m benchmarks.calibration [--data ../shared/data/lfw ../shared/data/celeba_small] [--halvings 20]

Of each data set one half of the people calibrates, by a committed rule, and the other half measures.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from app.cli.evaluate import CACHES
from app.cli.photos import read_photos, serving_reader
from app.inference.encoders import wanted_model
from app.settings import Settings
from benchmarks.machine import describe, machine
from benchmarks.report import PAGE, report, table
from models.measure.calibrate import calibrate
from models.measure.elsewhere import Kept, Subsampled, calibrates, coverage, half, kept_elsewhere, reliability_among
from models.measure.elsewhere import subsampled as by_subsampling
from models.measure.likelihood import Choice, Reliability, choose
from models.measure.reliability_plot import draw_reliability
from models.measure.sample import Sample

DATA = (Path("../shared/data/lfw"), Path("../shared/data/celeba_small"))
SIZES, LARGE, TARGETS = (100, 1000), 4000, (0.1, 0.01)
SEED, REPEATS, SPLITS = 1, 20, 40
PICTURES = PAGE.parent / "pictures"


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", default=DATA, help="folders with a folder a person")
    parser.add_argument("--halvings", type=int, default=20, help="random halvings for the share of intervals that hold")
    asked = parser.parse_args()
    facts, sets = machine(), []
    for folder in asked.data:
        if not folder.is_dir():
            print(f"SKIPPED: {folder} is not there", file=sys.stderr)
            continue
        sets.append(measure(folder, asked.halvings))
    result = {"machine": facts, "sets": sets}
    report("calibration", result, as_text(result))


def measure(folder: Path, halvings: int) -> dict[str, Any]:
    """Every figure of one data set; reads its photos unless they were read before."""
    settings = Settings.read({})
    model_id = wanted_model(settings)
    # LFW's readings are kept under the model's name alone by `onelook evaluate`: the same file serves here.
    cache = CACHES / (f"{model_id}.npz" if folder.name == "lfw" else f"{model_id}-{folder.name}.npz")
    paths = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.jpg"))
    opener = serving_reader(settings, flip=settings.flip_averaging)
    readings = read_photos(folder, paths, cache, model_id, opener, Console(stderr=True))
    labels = [path.partition("/")[0] for path in paths]
    sample = readings.sample(paths, labels)
    chosen = np.array([calibrates(label) for label in sorted(set(labels))])
    return {"name": folder.name, "model_id": model_id, **figures(sample, chosen, halvings, folder.name)}


def figures(sample: Sample, chosen: np.ndarray, halvings: int, name: str) -> dict[str, Any]:
    """The same from a sample; chosen: bool (persons,), who calibrates."""
    ours, theirs = half(sample, chosen)
    sizes = [size for size in SIZES if size < theirs.persons]
    calibration = calibrate(ours, model_id="", name=name, seed=SEED, sizes=sizes)
    points = [p for size in sizes for p in _at(calibration.identification + calibration.between, size)]
    fit = choose(ours, seed=SEED)
    large = [by_subsampling(sample, LARGE, t, seed=SEED, repeats=REPEATS) for t in TARGETS if sample.persons > LARGE]
    return {
        "people": (ours.persons, theirs.persons),
        "photos": (len(ours), len(theirs)),
        "without_face": (int((~ours.found).sum()), int((~theirs.found).sum())),
        "kept": [_kept(one) for one in kept_elsewhere(points, theirs, seed=SEED)],
        "halvings": halvings,
        "coverage": [asdict(c) for c in coverage(sample, sizes, seed=SEED, halvings=halvings, splits=SPLITS)],
        "large": [_large(one) for one in large],
        "probability": {} if fit is None else _probability(fit, theirs, sizes, name),
    }


def _at(points: Sequence[Any], size: int) -> list[Any]:
    return sorted((p for p in points if p.gallery_size == size), key=lambda p: -p.target)


def _kept(one: Kept) -> dict[str, Any]:
    p = one.point
    return {
        "name": p.name,
        "support": p.support,
        "threshold": p.threshold,
        "interval": p.interval,
        "fpir": one.fpir,
        "strangers": one.strangers,
        "inside": one.inside,
    }


def _large(one: Subsampled) -> dict[str, Any]:
    means = {key: float(getattr(one, key).mean()) for key in ("threshold", "low", "high", "fpir")}
    return {
        "size": one.size,
        "target": one.target,
        "strangers": one.strangers,
        "repeats": len(one.fpir),
        "inside": one.inside,
        **means,
    }


def _probability(fit: Choice, theirs: Sample, sizes: Sequence[int], name: str) -> dict[str, Any]:
    draw_reliability(fit, PICTURES / f"reliability-{name}.png")
    return {
        "likelihood": asdict(fit.likelihood),
        "among": {size: _rows(reliability_among(size, fit.likelihood.knots, theirs, seed=SEED)) for size in sizes},
    }


def _rows(told: Reliability) -> list[tuple[float, float, float]]:
    return [(float(a), float(b), float(c)) for a, b, c in zip(told.said, told.so, told.share, strict=True)]


def as_text(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    return "\n\n".join([describe(result["machine"]), *(_set_as_text(one) for one in result["sets"])])


def _set_as_text(one: dict[str, Any]) -> str:
    (ours, theirs), (our_photos, their_photos) = one["people"], one["photos"]
    covered = {c["name"]: f"{c['inside']} of {c['halvings']}" for c in one["coverage"]}
    rows = [
        (
            k["name"],
            k["support"],
            f"{k['threshold']:.4f}",
            _interval(*k["interval"]),
            _percent(k["interval"][1] - k["interval"][0]),
            _percent(k["fpir"]),
            k["strangers"],
            "yes" if k["inside"] else "NO",
            covered.get(f"{k['name']}, {k['support']}", ""),
        )
        for k in one["kept"]
    ]
    header = ("point", "support", "threshold", "stated interval", "its width", "FPIR of others", "strangers", "inside")
    parts = [
        f"**{one['name']}**, {one['model_id']}: {ours} people ({our_photos} photos, {one['without_face'][0]} without a "
        f"face) calibrate, {theirs} others ({their_photos} photos, {one['without_face'][1]} without a face) measure.",
        table((*header, "inside, random halvings"), rows),
    ]
    if one["large"]:
        parts += [_large_as_text(one["large"])]
    if one["probability"]:
        parts += [_probability_as_text(one["probability"], one["name"])]
    return "\n\n".join(parts)


def _large_as_text(large: Sequence[dict[str, Any]]) -> str:
    header = ("gallery", "target", "threshold", "stated interval", "FPIR of others", "strangers", "inside")
    rows = [
        (
            f"{o['size']:,}",
            _percent(o["target"]),
            f"{o['threshold']:.4f}",
            _interval(o["low"], o["high"]),
            _percent(o["fpir"]),
            f"{o['strangers']} and {o['strangers']}",
            f"{o['inside']} of {o['repeats']}",
        )
        for o in large
    ]
    return (
        "By repeated subsampling, means over repeats: the gallery serves both sides, for two disjoint ones would need "
        "more people than there are; the strangers who set the threshold and those who measure are different people "
        "within each repeat.\n\n" + table(header, rows)
    )


def _probability_as_text(held: dict[str, Any], name: str) -> str:
    trials = held["likelihood"]["trials"]
    rows = [(t["method"], f"{t['verification']:.6f}", f"{t['identification']:.6f}") for t in trials]
    parts = [table(("fit", "Brier, 1:1, half rightful", "Brier, 1:K among 100, half enrolled"), rows)]
    for size, told in held["among"].items():
        cells = [(f"{said:.3f}", f"{so:.3f}", _percent(share)) for said, so, share in told]
        parts += [
            f"`probability` among {size}, of people never used for calibration, half of the searches by strangers:",
            table(("said, mean", "right", "share of searches"), cells),
        ]
    parts += [f"![What was said against what was so, {name}](pictures/reliability-{name}.png)"]
    return "\n\n".join(parts)


def _interval(low: float, high: float) -> str:
    return f"{_percent(low)} .. {_percent(high)}"


def _percent(share: float) -> str:
    return f"{share:.2%}" if share >= 1e-3 or share == 0 else f"{share:.3%}"


if __name__ == "__main__":
    main()
