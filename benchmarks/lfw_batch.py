"""Bulk enrolment of every photo of LFW over HTTP, with a kill in the middle: what became of each, and at what speed.

    python -m benchmarks.lfw_batch [--data ../shared/data/lfw] [--photos 13233]

One zip with a folder for each person is sent to a running service. When half of the photos are done the service gets
SIGKILL and is started again; nobody sends anything, and the batch goes on. Then rows, items and index are compared, and
the zip is sent once more. Beside it one client identifies somebody twice a second, before the batch and during it.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, machine
from benchmarks.picture import picture
from benchmarks.report import report, table
from benchmarks.service import Service

POLL_S = 1.0
PAGE = 500
PROBE_EVERY_S = 0.5
PROBES_BEFORE = 40
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Measures, and reports. RuntimeError where something was lost, done twice or not ended well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/lfw"))
    parser.add_argument("--photos", type=int, default=13_233, help="the first so many, in order of name")
    asked = parser.parse_args()
    facts, photos = machine(), sorted(asked.data.glob("*/*.jpg"))[: asked.photos]
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "lfw.zip"
        pack(photos, packed)
        result = {"machine": facts, "zip_bytes": packed.stat().st_size, **measure(Path(folder) / "home", packed)}
    report("lfw_batch", result, as_text(result))


def pack(photos: Sequence[Path], to: Path) -> None:
    """A zip of `person/photo`, as the command sends it."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as file:
        for photo in photos:
            file.writestr(zipfile.ZipInfo(f"{photo.parent.name}/{photo.name}", LONG_AGO), photo.read_bytes())


def measure(home: Path, packed: Path) -> dict[str, Any]:
    """Sends, kills, starts again, waits, compares, and sends once more."""
    with Service(home) as service:
        info = service.get("/info")
        before = [identified_ms(service) for _ in range(PROBES_BEFORE)]
        began = time.perf_counter()
        batch = send(service, packed)
        sent_s = time.perf_counter() - began
        with probing(service) as probes:
            first = watched(service, batch, until=batch["progress"]["steps"] // 2)
        os.kill(service.pid, signal.SIGKILL)
    done = first[-1]
    with Service(home) as service:
        ready = time.perf_counter()
        with probing(service, probes):
            rest = watched(service, batch, until=batch["progress"]["steps"])
        facts = compare(service, batch)
        began = time.perf_counter()
        again = send(service, packed)
        sent_again_s = time.perf_counter() - began
    if again["id"] != batch["id"] or again["status"] != "succeeded":
        raise RuntimeError(f"sent again it is another batch: {again}")
    moving = next(one for one in rest if one.step > rest[0].step)
    return {
        "info": info,
        "sent_s": sent_s,
        "killed_at": done.step,
        "kept_at_kill": rest[0].step,
        "waited_s": moving.at_s - ready,
        "per_s": rates(first) + rates(rest),
        "worked_s": done.at_s - first[0].at_s + rest[-1].at_s - moving.at_s,
        "sent_again_s": sent_again_s,
        "identify_ms": {"before": before, "during": probes.times_ms, "refused": probes.refused},
        **facts,
    }


@dataclass(frozen=True, slots=True)
class Seen:
    """How many photos were done when."""

    at_s: float
    step: int


def watched(service: Service, batch: Any, until: int) -> list[Seen]:
    """Looks every second until that many are done, or the batch has ended. RuntimeError when it ended badly."""
    seen: list[Seen] = []
    while True:
        batch = service.get(batch["urls"]["self"])
        seen.append(Seen(time.perf_counter(), batch["progress"]["step"]))
        if len(seen) % 60 == 1:
            print(f"{seen[-1].step} of {batch['progress']['steps']}", file=sys.stderr)
        if batch["status"] in ("failed", "cancelled"):
            raise RuntimeError(f"the batch has not succeeded: {batch}")
        if batch["status"] == "succeeded" or (seen[-1].step >= until < batch["progress"]["steps"]):
            return seen
        time.sleep(POLL_S)


def rates(seen: Sequence[Seen]) -> list[float]:
    """Photos a second, second by second."""
    return [round((b.step - a.step) / (b.at_s - a.at_s), 1) for a, b in pairwise(seen) if b.step > a.step]


@dataclass(slots=True)
class Probes:
    """How long somebody at a door waited meanwhile."""

    times_ms: list[float] = field(default_factory=list)
    refused: int = 0


@contextmanager
def probing(service: Service, probes: Probes | None = None) -> Iterator[Probes]:
    """Inside, one client identifies the same picture, twice a second."""
    probes, stop = probes or Probes(), threading.Event()

    def probe() -> None:
        while not stop.wait(PROBE_EVERY_S):
            try:
                probes.times_ms.append(identified_ms(service))
            except urllib.error.URLError:
                probes.refused += 1

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probes
    finally:
        stop.set()
        thread.join()


def identified_ms(service: Service, image: bytes = picture()) -> float:
    """One POST /identify, first byte to last."""
    began = time.perf_counter()
    service.post_picture("/identify", image)
    return round((time.perf_counter() - began) * 1000, 1)


def send(service: Service, packed: Path) -> Any:
    """The batch of that zip."""
    with packed.open("rb") as file:
        return service.post_file("/enroll/batch", file, "application/zip")


def compare(service: Service, batch: Any) -> dict[str, Any]:
    """Whether items, rows and index agree, and nothing is there twice. RuntimeError where they do not."""
    items = list(paged(service, f"{batch['urls']['items']}?"))
    persons = list(paged(service, "/persons?"))
    index = service.get("/info")["galleries"][0]
    status = Counter(item["status"] for item in items)
    templates = [item["template_id"] for item in items if item["template_id"]]
    enrolled = {item["person_id"] for item in items if item["status"] == "enrolled"}
    agree = {
        "every photo has one item, and none waits": sorted(i["number"] for i in items) == list(range(len(items)))
        and status["pending"] == 0,
        "persons": {person["id"] for person in persons} == enrolled and len(persons) == len(enrolled),
        "one person a folder": len({person["external_id"] for person in persons}) == len(persons),
        "templates": len(set(templates))
        == len(templates)
        == index["templates"]
        == status["enrolled"] + status["template"],
    }
    if not all(agree.values()):
        raise RuntimeError(f"they do not agree: {agree}, {status}, {index}")
    return {
        "items": len(items),
        "status": dict(status),
        "refused": dict(Counter(item["code"] for item in items if item["status"] == "refused")),
        "refused_without_detail": sum(item["status"] == "refused" and not item["detail"] for item in items),
        "folders": len({item["source"].partition("/")[0] for item in items}),
        "persons": len(persons),
    }


def paged(service: Service, path: str) -> Iterator[Any]:
    """Every item of a list."""
    cursor = ""
    while True:
        page = service.get(f"{path}limit={PAGE}{cursor}")
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def as_text(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    status, probes = result["status"], result["identify_ms"]
    refused = ", ".join(
        f"{count} `{code}`" for code, count in sorted(result["refused"].items(), key=lambda one: -one[1])
    )
    rows = [
        ("photos, each with one outcome", result["items"], f"{result['zip_bytes'] / 2**20:.0f} MiB in one zip"),
        ("persons enrolled", status["enrolled"], f"of {result['folders']} folders"),
        ("templates added", status.get("template", 0), ""),
        ("refused, each with code and detail", status.get("refused", 0), refused),
        (
            "seconds to send and list it",
            f"{result['sent_s']:.1f}",
            f"sent again at the end: {result['sent_again_s']:.1f}",
        ),
        ("photos done at the kill", result["killed_at"], f"{result['kept_at_kill']} of them found done after it"),
        ("seconds from ready to the next photo", f"{result['waited_s']:.1f}", "the lease of the killed attempt"),
        (
            "photos a second",
            f"{result['items'] / result['worked_s']:.1f}",
            f"median second {statistics.median(result['per_s']):.1f}; {result['worked_s']:.0f} s of work",
        ),
        ("/identify before the batch, ms", *_p50_p95(probes["before"])),
        ("/identify during the batch, ms", *_p50_p95(probes["during"])),
    ]
    done = f"{probes['refused']} of the identifications during the batch were refused." if probes["refused"] else ""
    text = (describe(result["machine"], result["info"]), table(("what", "figure", "note"), rows), done)
    return "\n\n".join(part for part in text if part)


def _p50_p95(times_ms: Sequence[float]) -> tuple[str, str]:
    cuts = statistics.quantiles(times_ms, n=20)
    return f"{statistics.median(times_ms):.0f}", f"median of {len(times_ms)}; p95 {cuts[18]:.0f}"


if __name__ == "__main__":
    main()
