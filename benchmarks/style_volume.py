"""What a render of a volume does: how far the style's distance falls, and how much of the structure is left.

    python -m benchmarks.style_volume [--steps 100] [--size 64]

The content is nibabel's own example, a head in the public domain; the style a texture that a formula draws.
"""

import argparse
import io
import time
from importlib.resources import files
from typing import Any

import nibabel
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY
from models.style.options import Options
from models.style.plan import plan
from models.style.tiles import mean_grams
from models.style.volume import Volume

FALLS, WINDOW = 20.0, 7
PICTURE = REPOSITORY / "docs" / "pictures" / "style-volume.jpg"


def main() -> None:
    """Renders, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--size", type=int, default=64)
    asked = parser.parse_args()
    facts = machine()
    content = (files("nibabel") / "tests" / "data" / "example4d.nii.gz").read_bytes()
    rows, sheets = [], []
    for name, style in (("grains", _texture((1, 1, 1))), ("fibres", _texture((1, 1, 5)))):
        start = time.perf_counter()
        planned = plan(content, [style], Options.of({"steps": asked.steps, "size": asked.size}))
        volume = planned.subject
        assert isinstance(volume, Volume)
        for progress in planned.render():
            last = progress
        seconds = time.perf_counter() - start
        before, after = volume.canvas(), last._step.canvas
        rows.append(
            {
                "style": name,
                "seconds": seconds,
                "before": _distance(volume, before),
                "after": _distance(volume, after),
                "ssim": ssim(before, after),
                "structure": _structure(before, after),
            }
        )
        sheets += [volume.preview(before), volume.preview(volume.style_canvas(0)), last.preview()]
    _draw([sheet for sheet, _ in sheets])
    result = {"machine": facts, "steps": asked.steps, "size": asked.size, "renders": rows}
    report("style_volume", result, _text(result))


def ssim(one: Tensor, other: Tensor) -> float:
    """Wang et al. 2004, over cubes of WINDOW voxels, of canvases 0..255."""
    a, b = _mean(one), _mean(other)
    var_a, var_b, both = _mean(one**2) - a * a, _mean(other**2) - b * b, _mean(one * other) - a * b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * a * b + c1) * (2 * both + c2)) / ((a * a + b * b + c1) * (var_a + var_b + c2))).mean())


def _mean(values: Tensor) -> Tensor:
    return nn.functional.avg_pool3d(values.double(), WINDOW, stride=1)


def _structure(one: Tensor, other: Tensor) -> float:
    """Correlation of the means over cubes of five voxels."""
    a, b = (nn.functional.avg_pool3d(x, 5, stride=1).flatten() for x in (one, other))
    return float(torch.corrcoef(torch.stack((a, b)))[0, 1])


def _distance(volume: Volume, canvas: Tensor) -> float:
    grain, layers = volume.grain(), list(volume.options.layers or {})
    style, seen = mean_grams(grain, volume.style_canvas(0), layers), mean_grams(grain, canvas, layers)
    return sum(float((style[name] - seen[name]).square().sum() / style[name].square().sum()) for name in layers)


def _texture(widths: tuple[int, int, int]) -> bytes:
    """Noise, smoothed along the axes, as NIfTI."""
    noise = torch.randn(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(1))
    for axis, width in enumerate(widths):
        kernel = [1, 1, 1]
        kernel[axis] = 2 * width + 1
        padding = [(length - 1) // 2 for length in kernel]
        noise = nn.functional.avg_pool3d(noise, kernel, stride=1, padding=padding)
    values = (noise / noise.std() * 40 + 110)[0, 0].numpy()
    return bytes(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.2, 1.0])).to_bytes())  # type: ignore[no-untyped-call]


def _draw(sheets: list[bytes]) -> None:
    """Content, style and result under each other, enlarged twice."""
    pictures = [Image.open(io.BytesIO(sheet)).convert("L") for sheet in sheets]
    wide = max(picture.width for picture in pictures)
    page = Image.new("L", (2 * wide, sum(2 * picture.height + 6 for picture in pictures)), 40)
    top = 0
    for picture in pictures:
        page.paste(picture.resize((2 * picture.width, 2 * picture.height)), (0, top))
        top += 2 * picture.height + 6
    page.save(PICTURE, quality=80)


def _text(result: dict[str, Any]) -> str:
    rows = [
        [
            one["style"],
            f"{one['seconds']:.0f}",
            f"{one['before']:.3g}",
            f"{one['after']:.3g}",
            f"{one['before'] / one['after']:.0f}",
            f"{one['ssim']:.2f}",
            f"{one['structure']:.2f}",
        ]
        for one in result["renders"]
    ]
    least = min(one["before"] / one["after"] for one in result["renders"])
    header = ["style", "seconds", "distance before", "after", "fell by", "SSIM", "structure"]
    return (
        f"{describe(result['machine'])}\n\n"
        f"{result['steps']} steps, size {result['size']}, everything else as it comes.\n\n"
        + table(header, rows)
        + "\n\n"
        + verdict("least fall of the style's distance", least, FALLS)
        + "\n\n![Three planes of content, style and result, twice](pictures/style-volume.jpg)\n"
    )


if __name__ == "__main__":
    main()
