"""The real service as a child process: a free port, a home of its own, ended by its process id."""

import io
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageEnhance

REPOSITORY = Path(__file__).resolve().parents[2]
SERVE = (sys.executable, "-m", "app.cli", "serve")
START_S = 120.0
STOP_S = 30.0
LONGEST_SIDE_PX = 320


class Server:
    """`onelook serve` on a home that outlives it, so that it can be killed and started again."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self.home = home
        self.log = home.with_suffix(".log")
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(timeout=60)
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def admin_key(self) -> str:
        """The key that its first start made."""
        return (self.home / "admin.key").read_text(encoding="utf-8").strip()

    def start(self) -> None:
        """Starts it, and waits until /health/ready says so."""
        self.port = _free_port()
        settings = {"home": str(self.home), "port": str(self.port), **self._settings}
        own = {name: value for name, value in os.environ.items() if not name.startswith("ONELOOK_")}
        own |= {f"ONELOOK_{name.upper()}": value for name, value in settings.items()}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(SERVE, env=own, cwd=REPOSITORY, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"the service did not become ready:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: it can tidy nothing up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM, and SIGKILL where that did not help; the exit status. Nothing when it does not run."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            status = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._client.close()

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request with the admin key. Raises httpx.TransportError when the service is gone. Thread-safe."""
        headers = {"Authorization": f"Bearer {self.admin_key}", **more.pop("headers", {})}
        return self._client.request(method, f"{self.url}{path}", headers=headers, **more)

    def post_picture(self, path: str, image: bytes, **fields: Any) -> httpx.Response:
        """One request with a JPEG as its body and the fields in its query."""
        return self.call("POST", path, content=image, params=fields, headers={"Content-Type": "image/jpeg"})

    def _is_ready(self) -> bool:
        try:
            return self._client.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers, not yet started, each with a home of its own; keyword arguments are settings."""
    made: list[Server] = []

    def make(**settings: str) -> Server:
        made.append(Server(tmp_path / f"home-{len(made)}", settings))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server that is ready."""
    made = make_server()
    made.start()
    return made


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """The shipped photos, small enough to be read fast."""
    found = sorted((REPOSITORY / "samples").glob("*.jpg"))
    assert found, "samples/ holds no photo"
    opened = [Image.open(path).convert("RGB") for path in found]
    for photo in opened:
        photo.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
    return opened


@pytest.fixture(scope="session")
def looks(photos: list[Image.Image]) -> Callable[[int], bytes]:
    """number -> a JPEG of one face, never the same twice: a shipped photo, turned and lit a little differently."""
    turns = [0.5 * step for step in range(-12, 13)]
    lights = [0.80 + 0.04 * step for step in range(11)]
    ways = list(itertools.product(turns, lights))

    def look(number: int) -> bytes:
        photo = photos[number % len(photos)]
        turn, light = ways[(number // len(photos)) * 37 % len(ways)]
        changed = ImageEnhance.Brightness(photo.rotate(turn, Image.Resampling.BILINEAR)).enhance(light)
        out = io.BytesIO()
        changed.save(out, "JPEG", quality=90)
        return out.getvalue()

    return look
