"""Whether the service grows: its resident size over 10,000 identifies of pictures of many sizes.

python -m benchmarks.memory [--requests 10000] [--clients 4]
"""

import argparse
import io
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from PIL import Image, ImageEnhance

from app.inference.encoders import wanted_model
from app.settings import Settings
from benchmarks.gallery import fill, strangers
from benchmarks.growth import Size, growth, growth_as_text, size_after
from benchmarks.machine import describe, machine
from benchmarks.picture import SOURCE, picture
from benchmarks.report import report
from benchmarks.service import Service

PERSONS = 10_000
PICTURES = 400
LEAST_PX, MOST_PX = 120, 1600
FORMS = ("JPEG", "PNG", "WEBP")
POINTS = 10
WARM_UP = 1000


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    facts, settings = machine(), Settings()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        fill(home, strangers(PERSONS - 1), wanted_model(settings))
        with Service(home) as service:
            service.post_picture("/enroll", picture(), name="Somebody")
            info = service.get("/info")
            curve, answers = grow(service, varied_pictures(random.Random(1)), asked.requests, asked.clients)
    result = {
        "machine": facts,
        "info": info,
        "requests": asked.requests,
        "clients": asked.clients,
        "answers": answers,
        **growth(curve, WARM_UP),
    }
    report("memory", result, as_text(result))


def varied_pictures(chance: random.Random) -> list[bytes]:
    """The photo in many sizes, shapes, formats and lights."""
    with Image.open(SOURCE) as file:
        photo = file.convert("RGB")
    made = []
    for number in range(PICTURES):
        longest = round(LEAST_PX * (MOST_PX / LEAST_PX) ** chance.random())
        shape = (longest, round(longest * chance.uniform(0.6, 1.0)))
        size = shape if chance.random() < 0.5 else shape[::-1]  # wide or tall
        canvas = Image.new("RGB", size)
        scaled = ImageEnhance.Brightness(photo).enhance(chance.uniform(0.6, 1.3))
        scaled.thumbnail(size)
        canvas.paste(scaled)
        out = io.BytesIO()
        canvas.save(out, FORMS[number % len(FORMS)])
        made.append(out.getvalue())
    return made


def grow(service: Service, pictures: list[bytes], requests: int, clients: int) -> tuple[list[Size], dict[str, int]]:
    """The size at ten points and after the warming up; how many answers of each status."""
    answers: dict[str, int] = {}
    curve: list[Size] = []
    points = sorted({WARM_UP, *(requests * n // POINTS for n in range(1, POINTS + 1))} & set(range(1, requests + 1)))
    done = 0
    with ThreadPoolExecutor(clients) as pool:
        for point in points:
            turn = (pictures[number % len(pictures)] for number in range(done, point))
            for status in pool.map(lambda image: _status_of(service, image), turn):
                answers[status] = answers.get(status, 0) + 1
            done = point
            curve.append(size_after(service, done))
    return curve, answers


def _status_of(service: Service, image: bytes) -> str:
    try:
        service.post_picture("/identify", image)
    except HTTPError as e:
        e.close()
        if e.code != 422:  # no face: an answer too
            raise
        return str(e.code)
    return "200"


def as_text(result: dict[str, Any]) -> str:
    """The curve and the ratio, in Markdown."""
    answers = ", ".join(f"{count} times {status}" for status, count in sorted(result["answers"].items()))
    return "\n\n".join(
        (
            describe(result["machine"], result["info"]),
            f"{result['requests']} identifies from {result['clients']} clients: {answers}.",
            *growth_as_text(result, "identifies"),
        )
    )


if __name__ == "__main__":
    main()
