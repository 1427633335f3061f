"""How fast the closest templates are found among 10,000, 100,000 and 1,000,000, whether any is missed, what it takes.

    python -m benchmarks.search [--sizes 10000 100000 1000000] [--skip-hnsw-at-million] [--photos 2000]

Each size is measured by a process of its own, so that its memory is its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import search_plot
from benchmarks.crowd import real_faces
from benchmarks.machine import describe, machine
from benchmarks.report import report, table
from benchmarks.search_size import measure
from benchmarks.service import REPOSITORY

SIZES = (10_000, 100_000, 1_000_000)
MIB = 2**20
COLD = (
    *("templates", "MiB", "written in s", "read in s", "answers after s", "codes after s"),
    *("rows written in s", "answers from rows after s", "freshness check, µs"),
)


def main() -> None:
    """Measures, and reports; with --one, what one size's process does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--skip-hnsw-at-million", action="store_true", help="its graph takes many minutes to build")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/lfw"))
    parser.add_argument("--photos", type=int, default=2000, help="photos of LFW to read, where it is")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        json.dump(measure(asked.one, asked.folder, hnsw=not asked.skip_hnsw_at_million), sys.stdout)
        return
    facts = machine()
    with tempfile.TemporaryDirectory() as folder:
        real = _keep_real(asked.data, asked.photos, Path(folder))
        sizes = []
        for size in asked.sizes:
            print(f"{size} templates", file=sys.stderr)
            sizes.append(_in_a_process(size, Path(folder), skip_hnsw=size >= 1_000_000 and asked.skip_hnsw_at_million))
    result = {"machine": facts, "real": real, "sizes": sizes}
    report("search", result, as_text(result))
    search_plot.draw(sizes)


def _keep_real(data: Path, photos: int, folder: Path) -> dict[str, int] | None:
    """Leaves the real embeddings in the folder, which is deleted in the end; how many there are."""
    real = real_faces(data, photos)
    if real is None:
        print(f"SKIPPED: no real embeddings, because {data} is not there", file=sys.stderr)
        return None
    for name, faces in zip(("templates", "probes"), real, strict=True):
        np.savez(folder / f"{name}.npz", vectors=faces.vectors, owners=faces.owners)
    return {"templates": len(real[0]), "probes": len(real[1])}


def _in_a_process(size: int, folder: Path, *, skip_hnsw: bool) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.search", "--one", str(size), "--folder", str(folder)]
    done = subprocess.run(
        [*words, *(["--skip-hnsw-at-million"] if skip_hnsw else [])], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def as_text(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    first = result["sizes"][0]
    real = result["real"]
    whose = f"{real['templates']} templates and {real['probes']} probes are of LFW; " if real else ""
    ways = [(one, name, way) for one in result["sizes"] for name, way in one["ways"].items()]
    rows = [_row(one, name, way) for one, name, way in ways]
    header = (
        "templates",
        "way",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "times reading",
        "built in s",
        "bytes a template",
        "best",
        "two best",
    )
    cold = [
        (
            f"{one['size']:,}",
            f"{c['bytes'] / MIB:.0f}",
            *(f"{c[k]:.2f}" for k in ("write_s", "read_s", "fill_s", "packed_s")),
            *(f"{c[k]:.1f}" for k in ("rows_write_s", "rows_s", "check_us")),
        )
        for one in result["sizes"]
        if (c := one["cold_start"])
    ]
    return "\n\n".join(
        (
            describe(result["machine"]),
            f"{whose}{first['searches']} searches of each way at each size, for {first['k']} hits, one thread. "
            f"Threshold {first['threshold']:.3f} ({first['point']}); probes whose best similarity lies within "
            f"{first['near']} of it: "
            + ", ".join(f"{one['probes']} at {one['size']:,} ({one['real_probes']} real)" for one in result["sizes"])
            + ".",
            table(header, rows),
            "Codes need to propose, for the best template and for all that are asked for: "
            + "; ".join(_needed(one) for one in result["sizes"])
            + ".",
            "Cold start from a snapshot and, without one, from sealed rows of SQLite; and what each search pays to "
            "know that nothing changed:",
            table(COLD, cold),
            "![Time of one search against the number of templates](pictures/search.png)",
        )
    )


def _needed(one: dict[str, Any]) -> str:
    needed = one["needed"]
    return f"{needed['best']} and {needed['all']} of {one['size']:,}, where {needed['proposed']} are proposed"


def _row(one: dict[str, Any], name: str, way: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{one['size']:,}",
        name,
        f"{way['p50_ms']:.3f}",
        f"{way['p99_ms']:.3f}",
        f"{way['cpu_ms']:.3f}",
        f"{way['p50_ms'] / one['ways']['reading alone']['p50_ms']:.2f}",
        f"{way['build_s']:.1f}" if "build_s" in way else "",
        f"{way['bytes']:.0f}" if "bytes" in way else "",
        f"{way['best']:.4f}" if "best" in way else "",
        f"{way['two_best']:.4f}" if "two_best" in way else "",
    )


if __name__ == "__main__":
    main()
