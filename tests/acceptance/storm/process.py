"""One process of the service: the real one, but for pictures that carry their own reading."""

import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from app.domain.face import Crop, Reading, Vector
from app.domain.model import Served
from app.ports import Wanted
from tests.acceptance.storm import networks
from tests.acceptance.storm.faces import reading_of


class StormReader:
    """Stands in for the NetworkFaceReader: reads what a picture carries, and passes on every real picture."""

    def __init__(self, *, model: str, flip: bool, **more: Any) -> None:
        assert (model, flip) == (networks.MODEL, networks.FLIP)
        self._networks = networks.awakened()
        self.facts = self._networks.facts

    @property
    def model_id(self) -> str:
        """The real one: the rows are those that a real reader makes."""
        return self.facts.model_id

    def waiting(self) -> int:
        """Pictures that wait for a lane."""
        return self._networks.waiting()

    def read(self, image: bytes, *, encode: Wanted = "main", thorough: bool = False) -> Reading:
        """Fits ports.FaceReader.read."""
        carried = reading_of(image, self.model_id)
        return carried if carried is not None else self._networks.read(image, encode=encode, thorough=thorough)

    def serve(self, served: Served) -> None:
        """As the NetworkFaceReader."""
        self._networks.serve(served)

    def encode(self, crops: Sequence[Crop], model_id: str) -> Vector:
        """Fits ports.FaceReader.encode."""
        return self._networks.encode(crops, model_id)

    def close(self) -> None:
        """Ends the networks."""
        self._networks.close()


def serve(settings: dict[str, Any], log: Path, lifeline: Connection, lease_s: float | None) -> None:
    """Serves until it is killed. Runs in a process of its own; tells its port over the lifeline once it listens.

    lease_s: how long a request with an Idempotency-Key may run, where it shall not be as long as in service.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    with patch("app.assembly.parts.NetworkFaceReader", StormReader):
        _run(settings, lifeline, lease_s)


def _run(settings: dict[str, Any], lifeline: Connection, lease_s: float | None) -> None:
    from datetime import timedelta

    from app.assembly.parts import build_parts
    from app.cli.api_process import run
    from app.cli.listening import bound_sockets
    from app.domain import idempotency
    from app.routes.log import make_log
    from app.settings import Settings

    if lease_s is not None:
        idempotency.LEASE = timedelta(seconds=lease_s)
    read = Settings(**settings)
    sockets = bound_sockets(read.host, 0)
    port = sockets[0].getsockname()[1]
    run(read, sockets, build_parts(read), make_log("json", "warning"), listening=lambda: lifeline.send(port))


def _end_with(lifeline: Connection) -> None:
    """Whoever started this process may be killed too: it must not go on alone."""
    try:
        lifeline.recv()
    except EOFError:
        os._exit(1)
