"""How much faster the encoder is in eight bits: faces a second of one thread, against float32 in the same run.

    python -m benchmarks.int8 [--rounds 9] [--threads 1]

Needs OpenVINO (`pip install 'onelook[int8]'`). What it costs is measured by `onelook evaluate`, as for any encoder.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from models import weights
from models.face.encode import FaceEncoder, open_encoder
from models.image import Pixels

BATCHES = (1, 8)
# (weights, precision), float32 first: the others are compared with it.
FORMS = (("onelook", torch.float32), ("onelook", torch.bfloat16), ("onelook-int8", torch.int8))
LEAST_GAIN = 2.0


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="each form once in turn, so many times")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    facts = machine()
    torch.set_num_threads(asked.threads)
    named = {f"{name}, {_name(dtype)}": open_encoder(name, precision=dtype, flip=True) for name, dtype in FORMS}
    result = {
        "machine": facts,
        "threads": asked.threads,
        "rounds": asked.rounds,
        "network": _measured(named, asked.rounds, whole=False),
        "with the closer look": _measured(named, asked.rounds, whole=True),
    }
    report("int8", result, as_text(result))


def _measured(named: dict[str, FaceEncoder], rounds: int, *, whole: bool) -> dict[str, dict[str, float]]:
    """Milliseconds a face by form and batch; in turn, so that what else the machine does meets all alike."""
    crops = weights.sample_crops()
    spent: dict[str, dict[str, list[float]]] = {form: {str(batch): [] for batch in BATCHES} for form in named}
    for _ in range(rounds + 1):
        for batch in BATCHES:
            some = [crops[number % len(crops)] for number in range(batch)]
            for form, encoder in named.items():
                spent[form][str(batch)].append(_ms(encoder, some, whole=whole) / batch)
    # The first round allocates what the others use again.
    return {form: {batch: statistics.median(ms[1:]) for batch, ms in of.items()} for form, of in spent.items()}


def _ms(encoder: FaceEncoder, crops: list[Pixels], *, whole: bool) -> float:
    inputs = crops if whole else encoder.inputs(crops)
    begin = time.perf_counter()
    rows = encoder.encode(inputs) if whole else encoder.encode_inputs(inputs)
    spent = (time.perf_counter() - begin) * 1000
    assert np.isfinite(rows).all()
    return spent


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def as_text(result: dict[str, Any]) -> str:
    """Milliseconds a face, how many times as fast as float32, and the bar, in Markdown."""
    rows, verdicts = [], []
    for what in ("network", "with the closer look"):
        first = next(iter(result[what].values()))
        for form, of in result[what].items():
            gains = {batch: first[batch] / ms for batch, ms in of.items()}
            cells = [f"{of[str(batch)]:.1f} ({gains[str(batch)]:.2f} x)" for batch in BATCHES]
            rows.append([f"{form}, {what}", *cells])
        if what == "network":
            verdicts = [
                verdict(
                    f"faces a second in eight bits against float32, batch of {batch}", gains[str(batch)], LEAST_GAIN
                )
                for batch in BATCHES
            ]
    header = ["ms a face, flip averaging", *(f"batch of {batch}" for batch in BATCHES)]
    threads = f"{result['threads']} thread{'s' if result['threads'] > 1 else ''}"
    spent = f"{threads}; medians of {result['rounds']} rounds in turn."
    return "\n\n".join((describe(result["machine"]), spent, table(header, rows), "\n".join(verdicts)))


if __name__ == "__main__":
    main()
