"""The service with its gallery of strangers, and loads on its POST /identify."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.inference.encoders import wanted_model
from app.settings import Settings
from benchmarks.gallery import fill, strangers
from benchmarks.picture import multipart_request, picture, raw_request
from benchmarks.service import REPOSITORY, Service

# name -> (clients, how the picture is sent)
LOADS = {
    "1, raw body": (1, raw_request),
    "1, multipart": (1, multipart_request),
    "4, raw body": (4, raw_request),
    "16, raw body": (16, raw_request),
    "16, multipart": (16, multipart_request),
}
ONE, MANY = "1, raw body", "16, raw body"


@contextmanager
def serving(persons: int) -> Iterator[tuple[Service, bytes]]:
    """The service with so many people, the one in the picture among them."""
    image, settings = picture(), Settings()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        fill(home, strangers(persons - 1), wanted_model(settings))
        with Service(home) as service:
            service.post_picture("/enroll", image, name="Somebody", person_id="somebody")
            held = service.get("/info")["galleries"][0]["persons"]
            if held != persons:
                raise RuntimeError(f"the gallery holds {held} persons, not {persons}")
            yield service, image


def load(service: Service, image: bytes, name: str, seconds: float) -> dict[str, Any]:
    """What that load measured. Raises RuntimeError when anything but the right answer came."""
    clients, request = LOADS[name]
    with tempfile.NamedTemporaryFile() as file:
        file.write(request("/identify", image, service.key))
        file.flush()
        command = (sys.executable, "-m", "benchmarks.load", str(service.port), file.name, str(clients), str(seconds))
        before = service.cpu_s()
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
        used = service.cpu_s() - before
    if done.returncode:
        raise RuntimeError(done.stderr)
    outcome: dict[str, Any] = json.loads(done.stdout)
    if set(outcome["statuses"]) != {"200"} or set(outcome["decisions"]) != {"recognized"}:
        raise RuntimeError(f"wrong answers: {outcome['statuses']} {outcome['decisions']}")
    return outcome | {"service_cpu_s": used}
