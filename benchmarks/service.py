"""The real service as a child process, on a free loopback port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlencode

REPOSITORY = Path(__file__).resolve().parent.parent
START_S = 120.0
STOP_S = 30.0
CALL_S = 60.0
SERVE = (sys.executable, "-m", "app.cli", "serve")


class Service:
    """A context manager: started and ready inside, ended by its own process id afterwards."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self._settings = settings
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.key = ""

    def __enter__(self) -> Self:
        """Starts it, and waits until /health/ready says so. Raises RuntimeError with the log's end."""
        self.port = _free_port()
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = {name: value for name, value in os.environ.items() if not name.startswith("ONELOOK_")}
        own |= {"ONELOOK_HOME": str(self.home), "ONELOOK_PORT": str(self.port)}
        own |= {f"ONELOOK_{name.upper()}": value for name, value in self._settings.items()}
        self._log = self.home.with_suffix(".log").open("wb")
        self._process = subprocess.Popen(SERVE, env=own, cwd=REPOSITORY, stdout=self._log, stderr=self._log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.end()
            raise
        self.key = (self.home / "admin.key").read_text(encoding="utf-8").strip()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def end(self) -> None:
        """SIGTERM, and SIGKILL where that did not help."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()
        self._process = self._log = None

    def get(self, path: str) -> Any:
        """What a GET of that path answers. Raises urllib's HTTPError where it is refused."""
        return self._send(urllib.request.Request(self._url(path), headers=self._headers()))

    def post_picture(self, path: str, image: bytes, **fields: str) -> Any:
        """What a POST of a JPEG with these fields answers. Raises urllib's HTTPError where it is refused."""
        url = self._url(path) + (f"?{urlencode(fields)}" if fields else "")
        headers = {**self._headers(), "Content-Type": "image/jpeg"}
        return self._send(urllib.request.Request(url, image, headers))

    def post_file(self, path: str, file: IO[bytes], kind: str) -> Any:
        """What a POST of that file answers; it is sent piece by piece."""
        headers = {**self._headers(), "Content-Type": kind, "Content-Length": str(file.seek(0, os.SEEK_END))}
        file.seek(0)
        return self._send(urllib.request.Request(self._url(path), file, headers))

    def resident_bytes(self) -> int:
        """The memory that the process holds now."""
        return 1024 * int(self._status("VmRSS"))

    def cpu_s(self) -> float:
        """Processor seconds that it has used so far, those of the kernel included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> str:
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name}:"))

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def _send(self, request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, timeout=CALL_S) as answer:
            return json.loads(answer.read())

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(self._url("/health/ready"), timeout=2).close()
            except OSError:  # not listening yet, or 503
                time.sleep(0.05)
            else:
                return
        end = self.home.with_suffix(".log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"the service did not become ready:\n{end}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
