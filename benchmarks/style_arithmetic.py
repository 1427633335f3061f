"""How much of an evaluation is arithmetic: its GFLOP/s against those that its convolutions reach alone.

    python -m benchmarks.style_arithmetic [--size 512] [--threads 1 2] [--rounds 5]

And what the known programs' evaluation reaches, in PyTorch's default memory layout. All of one kind in turn.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import style_classic
from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from models.style import perceptual
from models.style.allocation import keep_memory
from models.style.arithmetic import fastest
from models.style.convolution import turned
from models.style.objective import Objective, Style, Terms
from models.style.tiles import mean_grams
from models.style.vgg19 import LAYERS, Precision, Vgg19, multiplications, stride

BAR = 0.85
WANTED = dict.fromkeys(style_classic.STYLE, 0.2)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    facts = machine()
    picture = 255 * torch.rand(1, 3, asked.size, asked.size, generator=torch.Generator().manual_seed(1))
    flops = 4.0 * multiplications(asked.size, asked.size, ["conv5_1"])
    torch.set_num_threads(max(asked.threads))
    network = perceptual.shipped().configured(pooling="max", padding="zeros", precision=fastest())
    given_back = _seconds(_evaluation(network, picture), asked.rounds)
    keep_memory()
    kept = _seconds(_evaluation(network, picture), asked.rounds)
    rows = []
    for threads in asked.threads:
        torch.set_num_threads(threads)
        kinds = _kinds(picture)
        best = dict.fromkeys(kinds, float("inf"))
        for _ in range(asked.rounds + 1):
            for name, run in kinds.items():
                start = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - start)
        rows.append({"threads": threads, **{name: flops / seconds / 1e9 for name, seconds in best.items()}})
    result = {"machine": facts, "size": asked.size, "gflops": rows, "precision": fastest(), "kept": given_back / kept}
    report("style_arithmetic", result, _text(result))


def _seconds(run: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def _kinds(picture: Tensor) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    total = style_classic.cost(style_classic.PlainVgg(), picture, picture.flip(2), 1.0, 1e4)
    found["classic"] = lambda: _classic(total, picture)
    for precision in DTYPES:
        assert precision in ("float32", "bfloat16")
        kind: Precision = "float32" if precision == "float32" else "bfloat16"
        network = perceptual.shipped().configured(pooling="max", padding="zeros", precision=kind)
        found[f"{precision} evaluation"] = _evaluation(network, picture)
        found[f"{precision} convolutions"] = _convolutions(network, picture)
    return found


def _classic(total: Callable[[Tensor], Tensor], picture: Tensor) -> None:
    leaf = picture.clone().requires_grad_()
    total(leaf).backward()  # type: ignore[no-untyped-call]


def _evaluation(network: Vgg19, picture: Tensor) -> Callable[[], object]:
    with torch.no_grad():
        content = network(picture, ["conv4_2"])["conv4_2"]
    styles = [Style(mean_grams(network, picture.flip(2), list(WANTED)))]
    objective = Objective(network, content, styles, Terms(1.0, 1e4, WANTED, "conv4_2"))
    return lambda: objective(picture)


def _convolutions(network: Vgg19, picture: Tensor) -> Callable[[], object]:
    """The same convolutions, forwards and for the gradient, on inputs that lie ready; nothing else."""
    work = []
    for name in LAYERS[: LAYERS.index("conv5_1") + 1]:
        convolution = network.convolutions[name]
        assert isinstance(convolution, nn.Conv2d)
        dtype, side = convolution.weight.dtype, picture.shape[-1] // stride(name)
        values, gradient = (
            torch.rand(1, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
            for channels in (convolution.in_channels, convolution.out_channels)
        )
        work.append((values, convolution, gradient, turned(convolution.weight)))

    def run() -> None:
        for values, convolution, gradient, back in work:
            F.conv2d(values, convolution.weight, convolution.bias, padding=1)
            F.conv2d(gradient, back, padding=1)

    return run


def _text(result: dict[str, Any]) -> str:
    rows, verdicts = [], []
    for one in result["gflops"]:
        threads = f"{one['threads']} thread{'s' if one['threads'] > 1 else ''}"
        rows.append([f"{threads}: classic, default layout, float32", f"{one['classic']:.0f}", "", ""])
        for precision in DTYPES:
            evaluation, alone = one[f"{precision} evaluation"], one[f"{precision} convolutions"]
            rows.append(
                [f"{threads}: ours, {precision}", f"{evaluation:.0f}", f"{alone:.0f}", f"{evaluation / alone:.2f}"]
            )
            verdicts.append(verdict(f"{threads}, {precision}, evaluation / its convolutions", evaluation / alone, BAR))
    header = ["GFLOP/s", "evaluation", "its convolutions alone", "ratio"]
    return (
        f"{describe(result['machine'])}\n\n{result['size']} x {result['size']} pixels, the fastest of the rounds; this "
        f"machine renders in {result['precision']}. Memory that is kept makes an evaluation "
        f"{result['kept']:.2f} times as fast.\n\n" + table(header, rows) + "\n\n" + "\n".join(verdicts)
    )


if __name__ == "__main__":
    main()
