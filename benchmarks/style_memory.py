"""What a render takes: the peak of the process at several sizes, whole and in tiles, beside what was estimated.

    python -m benchmarks.style_memory [--sizes 512 1024 2048] [--steps 3] [--precision auto|float32|bfloat16]

Each render is a process of its own; squares cut from samples/, from the content.
"""

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

from benchmarks.machine import describe, machine
from benchmarks.report import report, table
from benchmarks.service import REPOSITORY

MIB = 1 << 20
TILE = 512


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--one", type=int, nargs=2, metavar=("SIZE", "TILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_render(asked.one[0], asked.one[1], asked.steps, asked.precision)))
        return
    facts, rows = machine(), []
    for size in asked.sizes:
        for tile in (0, TILE):
            words = ("--steps", str(asked.steps), "--precision", asked.precision, "--one", str(size), str(tile))
            out = subprocess.run(
                (sys.executable, "-m", "benchmarks.style_memory", *words),
                cwd=REPOSITORY,
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            rows.append({"size": size, "tile": tile, **json.loads(out)})
            print(rows[-1], flush=True)
    result = {"machine": facts, "renders": rows}
    report("style_memory", result, _text(result))


def _render(size: int, tile: int, steps: int, asked: str) -> dict[str, Any]:
    import io

    from PIL import Image

    from models.style import memory, pyramid
    from models.style import plan as planning
    from models.style.options import Options
    from models.style.plan import Limits, plan

    if asked != "auto":
        setattr(planning, "fastest", lambda device: asked)  # noqa: B010
    out = io.BytesIO()
    Image.open(REPOSITORY / "samples" / "hopper.jpg").convert("RGB").resize((size, size)).save(out, "PNG")
    style = (REPOSITORY / "samples" / "collins.jpg").read_bytes()
    memory.TILES = (tile,) if tile else memory.TILES  # type: ignore[assignment]
    # Just enough for tiles of that side, or for anything.
    limit = memory.of_picture((size, size), "lbfgs", tile) if tile else 1 << 50
    pyramid.COARSEST = size  # the last scale alone
    planned = plan(out.getvalue(), [style], Options.of({"size": size, "steps": steps}), limits=Limits(limit))
    precision = ""
    for progress in planned.render():
        precision = progress._facts["precision"]
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak": peak, "estimated": planned.memory_bytes, "precision": precision}


def _text(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['size']} x {one['size']}, {'tiles of ' + str(one['tile']) if one['tile'] else 'whole'}",
            f"{one['peak'] / MIB:,.0f}",
            f"{one['estimated'] / MIB:,.0f}",
            f"{one['estimated'] / one['peak']:.2f}",
        ]
        for one in result["renders"]
    ]
    return (
        f"{describe(result['machine'])}\n\nIn {result['renders'][0]['precision']}. The estimate allows for "
        "float32 and for all pairs of L-BFGS.\n\n"
        + table(["", "peak, MiB", "estimated, MiB", "estimated / peak"], rows)
    )


if __name__ == "__main__":
    main()
