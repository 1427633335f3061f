"""Whether broken pictures break the service: 20,000 of them over HTTP; any fault, crash or growth is shown.

python -m benchmarks.fuzz [--pictures 20000] [--clients 4] [--seed 1]
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from benchmarks.growth import Size, growth, growth_as_text, size_after
from benchmarks.machine import describe, machine
from benchmarks.mutations import mutated, seeds
from benchmarks.picture import picture
from benchmarks.report import report, table
from benchmarks.service import REPOSITORY, Service

WARM_UP = 2000
PATHS = ("/detect", "/identify")


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    facts = machine()
    # Every picture is one request of one key.
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "home", key_rate_per_minute="1000000") as service,
    ):
        service.post_picture("/enroll", picture(), name="Somebody")
        pid = service.pid
        curve, answers = feed(
            service, mutated(seeds(REPOSITORY / "samples"), asked.pictures, asked.seed), asked.clients
        )
        recognized = service.post_picture("/identify", picture())["decision"]
        same_process = service.pid == pid
    result = {
        "machine": facts,
        "pictures": asked.pictures,
        "seed": asked.seed,
        "answers": dict(answers),
        "faults": sum(count for answer, count in answers.items() if answer.startswith("5")),
        "same_process": same_process,
        "recognized_afterwards": recognized == "recognized",
        **growth(curve, WARM_UP),
    }
    report("fuzz", result, as_text(result))


def feed(service: Service, pictures: Iterable[bytes], clients: int) -> tuple[list[Size], Counter[str]]:
    """The size after each 2,000 pictures; how often each status and code came."""
    answers: Counter[str] = Counter()
    curve: list[Size] = []
    pending, done = iter(pictures), 0
    with ThreadPoolExecutor(clients) as pool:
        while batch := list(islice(pending, WARM_UP)):
            answers.update(pool.map(lambda image: _answer(service, image), batch))
            done += len(batch)
            curve.append(size_after(service, done))
    return curve, answers


def _answer(service: Service, image: bytes) -> str:
    path = PATHS[len(image) % len(PATHS)]
    try:
        service.post_picture(path, image)
    except HTTPError as e:
        with e:
            return f"{e.code} {_code(e)}"
    return "200"


def _code(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["code"])
    except (ValueError, KeyError):
        return "not a problem"


def as_text(result: dict[str, Any]) -> str:
    """The answers, the curve and the ratio, in Markdown."""
    afterwards = "the process is the same" if result["same_process"] else "THE PROCESS IS ANOTHER"
    known = "recognizes" if result["recognized_afterwards"] else "DOES NOT RECOGNIZE"
    return "\n\n".join(
        (
            describe(result["machine"]),
            f"{result['pictures']} broken pictures, seed {result['seed']}: {result['faults']} faults (5xx); afterwards "
            f"{afterwards}, and {known} whom it knew.",
            table(("answer", "times"), Counter(result["answers"]).most_common()),
            *growth_as_text(result, "pictures"),
        )
    )


if __name__ == "__main__":
    main()
