"""Whether a render starves the doors: p95 of POST /identify with and without one beside it, in turn.

python -m benchmarks.style_beside [--rounds 3] [--seconds 20] [--clients 4]
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY, Service

SAMPLES = REPOSITORY / "samples"
BAR = 1.5


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="each state once in turn, so many times")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    facts = machine()
    found: dict[str, list[list[float]]] = {"alone": [], "beside": []}
    steps = []
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "home", port="0") as service:
        for name in ("collins", "hopper", "obama-2009"):
            service.post_picture("/enroll", (SAMPLES / f"{name}.jpg").read_bytes(), name=name)
        request = Path(folder) / "request"
        request.write_bytes(_request(service, (SAMPLES / "obama-2012.jpg").read_bytes()))
        with httpx.Client(
            base_url=f"http://127.0.0.1:{service.port}", headers={"Authorization": f"Bearer {service.key}"}, timeout=60
        ) as client:
            for _ in range(asked.rounds):
                found["alone"].append(_latencies(service, request, asked))
                job = _begin(client)
                found["beside"].append(_latencies(service, request, asked))
                steps.append(_end(client, job))
    result = {"machine": facts, "rounds": asked.rounds, "clients": asked.clients, "latency_ms": found, "steps": steps}
    report("style_beside", result, _text(result))


def _latencies(service: Service, request: Path, asked: argparse.Namespace) -> list[float]:
    words = (sys.executable, "-m", "benchmarks.load", str(service.port), str(request))
    out = subprocess.run(
        (*words, str(asked.clients), str(asked.seconds)), cwd=REPOSITORY, capture_output=True, check=True
    ).stdout
    told = json.loads(out)
    if set(told["statuses"]) != {"200"}:
        raise RuntimeError(f"not every answer was 200: {told['statuses']}")
    latencies: list[float] = told["latency_ms"]
    return latencies


def _begin(client: httpx.Client) -> str:
    """A render that will not end by itself, once it is being worked on."""
    out = io.BytesIO()
    Image.open(SAMPLES / "hopper.jpg").convert("RGB").resize((512, 512)).save(out, "PNG")
    style = (SAMPLES / "collins.jpg").read_bytes()
    job = client.post(
        "/style-jobs",
        files=[("content", out.getvalue()), ("style", style)],
        data={"options": json.dumps({"size": 512, "steps": 5000})},
    ).raise_for_status()
    identity: str = job.json()["id"]
    until = time.monotonic() + 120
    while client.get(f"/style-jobs/{identity}").raise_for_status().json()["progress"]["step"] < 1:
        if time.monotonic() > until:
            raise RuntimeError("the render did not begin")
        time.sleep(0.2)
    return identity


def _end(client: httpx.Client, job: str) -> int:
    step: int = client.get(f"/style-jobs/{job}").json()["progress"]["step"]
    client.post(f"/style-jobs/{job}/cancel").raise_for_status()
    while client.get(f"/style-jobs/{job}").json()["status"] in ("queued", "running"):
        time.sleep(0.2)
    return step


def _request(service: Service, image: bytes) -> bytes:
    head = (
        f"POST /identify HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nAuthorization: Bearer {service.key}\r\n"
        f"Content-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
    )
    return head.encode() + image


def _text(result: dict[str, Any]) -> str:
    rows, p95 = [], {}
    for name, words in (("alone", "without a render"), ("beside", "with a render beside it")):
        rounds = result["latency_ms"][name]
        p95[name] = statistics.median(_quantile(one, 0.95) for one in rounds)
        p50 = statistics.median(_quantile(one, 0.5) for one in rounds)
        rows.append([words, sum(map(len, rounds)), f"{p50:.1f}", f"{p95[name]:.1f}"])
    return (
        f"{describe(result['machine'])}\n\n"
        f"{result['clients']} clients, {result['rounds']} rounds in turn, medians of the rounds; steps of 512 px that "
        f"the render made meanwhile: {', '.join(map(str, result['steps']))}.\n\n"
        + table(["POST /identify", "answers", "p50, ms", "p95, ms"], rows)
        + "\n\n"
        + verdict("p95 with a render / without", p95["beside"] / p95["alone"], BAR, at_least=False)
    )


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    main()
