"""When there is something to see: seconds to the first preview of a 512-px render, in a process that renders already.

    python -m benchmarks.style_first_look [--rounds 3] [--threads 2]

In the engine: from the files to the JPEG. Over HTTP: from sending the job to reading its preview, `onelook serve` with
one worker; its first job loads the network, and is told apart.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image

from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY, Service
from models.style.options import Options
from models.style.plan import plan

SAMPLES = REPOSITORY / "samples"
BAR_S = 2.0
OPTIONS = {"size": 512, "steps": 300}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    facts = machine()
    torch.set_num_threads(asked.threads)
    engine = [_engine() for _ in range(asked.rounds + 1)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "home", style_threads=str(asked.threads)) as service,
        httpx.Client(
            base_url=f"http://127.0.0.1:{service.port}", headers={"Authorization": f"Bearer {service.key}"}, timeout=60
        ) as client,
    ):
        http = [_http(client) for _ in range(asked.rounds + 1)]
    result = {"machine": facts, "threads": asked.threads, "engine": engine, "http": http}
    report("style_first_look", result, _text(result))


def _engine() -> float:
    start = time.perf_counter()
    content, style = _files()
    for progress in plan(content, [style], Options.of(OPTIONS)).render():
        progress.preview()
        return time.perf_counter() - start
    raise RuntimeError("the render made no step")


def _http(client: httpx.Client) -> float:
    content, style = _files()
    start = time.perf_counter()
    job = client.post(
        "/style-jobs", files=[("content", content), ("style", style)], data={"options": json.dumps(OPTIONS)}
    ).raise_for_status()
    identity = job.json()["id"]
    while (found := client.get(f"/style-jobs/{identity}/preview")).status_code == 409:
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    Image.open(io.BytesIO(found.raise_for_status().content)).load()
    client.post(f"/style-jobs/{identity}/cancel").raise_for_status()
    while client.get(f"/style-jobs/{identity}").json()["status"] in ("queued", "running"):
        time.sleep(0.1)
    return seconds


def _files() -> tuple[bytes, bytes]:
    out = io.BytesIO()
    Image.open(SAMPLES / "hopper.jpg").convert("RGB").resize((512, 512)).save(out, "PNG")
    return out.getvalue(), (SAMPLES / "collins.jpg").read_bytes()


def _text(result: dict[str, Any]) -> str:
    rows = [
        [words, f"{result[name][0]:.2f}", f"{statistics.median(result[name][1:]):.2f}"]
        for name, words in (("engine", "in the engine"), ("http", "over HTTP"))
    ]
    return (
        f"{describe(result['machine'])}\n\n512 x 512 pixels, {result['threads']} threads.\n\n"
        + table(["seconds to the first preview", "the first render of a process", "the next ones, median"], rows)
        + "\n\n"
        + verdict("seconds over HTTP", statistics.median(result["http"][1:]), BAR_S, at_least=False)
    )


if __name__ == "__main__":
    main()
