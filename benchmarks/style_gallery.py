"""Renders of known pictures at three sizes, from the content and from noise, as small JPEGs in docs/gallery.

    python -m benchmarks.style_gallery [--only NAME ...]

Needs ../shared/data. What was rendered before is not rendered again; delete its file first.
"""

import argparse
import io
import json
import time
from dataclasses import dataclass

from PIL import Image

from benchmarks.machine import describe, machine
from benchmarks.report import put_between_markers, table
from benchmarks.service import REPOSITORY
from models.style.options import Options
from models.style.plan import plan

PICTURES = REPOSITORY.parent / "shared" / "data" / "style"
GALLERY = REPOSITORY / "docs" / "gallery"
FIGURES = GALLERY / "figures.json"
LONGEST, QUALITY = 640, 82


@dataclass(frozen=True)
class Work:
    """One render. options: as JSON has them."""

    name: str
    content: str
    styles: tuple[str, ...]
    options: dict[str, object]


WORKS = (
    Work("tubingen-256", "tubingen", ("vangogh_starry_night",), {"size": 256, "steps": 300}),
    Work("tubingen-256-noise", "tubingen", ("vangogh_starry_night",), {"size": 256, "steps": 300, "init": "noise"}),
    Work("tubingen-512", "tubingen", ("vangogh_starry_night",), {"size": 512, "steps": 300}),
    Work("tubingen-512-noise", "tubingen", ("the_scream",), {"size": 512, "steps": 300, "init": "noise"}),
    Work("golden-gate-512", "golden_gate", ("shipwreck",), {"size": 512, "steps": 300, "color": "match"}),
    Work("tower-1024", "hoovertowernight", ("woman-with-hat-matisse",), {"size": 1024, "steps": 240}),
    Work("golden-gate-1024-noise", "golden_gate", ("the_scream",), {"size": 1024, "steps": 240, "init": "noise"}),
)


def main() -> None:
    """Renders what is missing, and writes the page's table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[work.name for work in WORKS])
    asked = parser.parse_args()
    GALLERY.mkdir(exist_ok=True)
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for work in WORKS:
        if work.name in asked.only and not (GALLERY / f"{work.name}.jpg").exists():
            figures[work.name] = {**_rendered(work), "on": describe(machine())}
            print(work.name, figures[work.name], flush=True)
            FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    rows = [
        [
            f"![{work.name}]({work.name}.jpg)",
            f"{work.content} in the style of {', '.join(work.styles)}",
            " ".join(f"{name} {value}" for name, value in work.options.items()),
            *(f"{figures[work.name][name]:.3g}" for name in ("seconds", "content", "style")),
        ]
        for work in WORKS
        if work.name in figures
    ]
    page = table(["render", "of", "options", "seconds", "J_content", "J_style"], rows)
    put_between_markers("gallery", page, GALLERY / "README.md")


def _rendered(work: Work) -> dict[str, float]:
    content, *styles = ((PICTURES / f"{name}.jpg").read_bytes() for name in (work.content, *work.styles))
    start = time.perf_counter()
    planned = plan(content, styles, Options.of(work.options))
    for progress in planned.render():
        last = progress
    seconds = time.perf_counter() - start
    picture = Image.open(io.BytesIO(last.result().content)).convert("RGB")
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    picture.save(GALLERY / f"{work.name}.jpg", quality=QUALITY)
    return {"seconds": seconds, "content": last.losses.content, "style": last.losses.style}


if __name__ == "__main__":
    main()
