"""A home is of one model: settings that make another are refused at start, and say which it was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def test_a_home_of_another_model_is_refused_at_start(server: Any, samples: Path) -> None:
    answer = server.post_picture("/enroll", (samples / "hopper.jpg").read_bytes(), name="Grace Hopper")
    assert answer.status_code == 201
    model_id = answer.json()["template"]["model_id"]
    server.stop()
    own = {name: value for name, value in os.environ.items() if not name.startswith("ONELOOK_")}
    settings = {"ONELOOK_HOME": str(server.home), "ONELOOK_FLIP_AVERAGING": "false", "ONELOOK_PORT": "0"}
    run = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve"], env=own | settings, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    assert model_id in run.stderr
    assert "Traceback" not in run.stderr
