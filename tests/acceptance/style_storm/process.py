"""One process of the service, real but for what takes long: faces are not read, and a render is a chain of digests."""

import argparse
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from app.settings import Settings
from tests.acceptance.style_storm.renderer import ChainRenderer

# As in service, but in a tenth of the time.
LEASE_S, BEAT_S, LOOK_S = 3.0, 0.5, 0.1
PROGRESS_S, PREVIEW_S, CHECKPOINT_S = 0.1, 0.2, 0.3


class NoFaces:
    """Stands in for the NetworkFaceReader, and loads nothing."""

    def __init__(self, *, model: str, flip: bool, **more: Any) -> None:
        from app.inference.face_reader import InferenceFacts
        from models import weights

        self.model_id = weights.model_id(model, flip=flip)
        self.facts = InferenceFacts(self.model_id, model, "cpu", "float32", "for a test", flip, 1, 1, "none")

    def waiting(self) -> int:
        return 0

    def serve(self, served: Any) -> None:
        """There is but one."""

    def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    """Runs until it is told to stop, or killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("api", "worker"))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--step-s", type=float, default=0.0)
    said = parser.parse_args()
    settings = Settings(home=said.home, port=said.port, style_workers=0, log_level="warning")
    if said.role == "api":
        _serve(settings)
    else:
        _render(settings, ChainRenderer(said.step_s, said.journal))


def _serve(settings: Settings) -> None:
    from app.assembly.parts import build_parts
    from app.cli.api_process import run
    from app.cli.listening import bound_sockets
    from app.routes.log import make_log

    sockets = bound_sockets(settings.host, settings.port)
    log = make_log("json", "warning", sys.stderr)
    with (
        patch("app.assembly.parts.NetworkFaceReader", NoFaces),
        patch("app.assembly.parts.style_renderer", lambda settings: ChainRenderer()),
    ):
        run(settings, sockets, build_parts(settings), log)


def _render(settings: Settings, renderer: ChainRenderer) -> None:
    from app.actions.style import attempt, lease
    from app.cli.work import run
    from app.routes.log import make_log

    attempt.PROGRESS_S, attempt.PREVIEW_S, attempt.CHECKPOINT_S = PROGRESS_S, PREVIEW_S, CHECKPOINT_S
    defaults = lease.StyleLease.__init__.__kwdefaults__
    assert defaults is not None
    defaults |= {"beat_s": BEAT_S, "look_s": LOOK_S}
    log = make_log("json", "info", sys.stderr)
    run(settings, renderer, log, lease_s=LEASE_S)


if __name__ == "__main__":
    main()
