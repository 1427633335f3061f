import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli.work import NICE


def ready(process):
    """Waits until it renders; what its log then says."""
    for line in process.stdout:
        if '"style worker ready"' in line:
            return json.loads(line)
    raise AssertionError(process.stderr.read())


def test_renders_behind_everything_else_until_it_is_told_to_stop(start):
    process = start("work")
    told = ready(process)
    assert (told["pid"], told["style_worker"]) == (process.pid, 1)
    # Only waiting for work it holds neither torch nor the networks of faces.
    assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert '"everything_kept": true' in out


def test_ctrl_c_is_as_good(start):
    process = start("work")
    ready(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_it_ends_with_whoever_holds_its_lifeline(home, root):
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "app.cli", "work", "--number", "2", "--lifeline", str(theirs.fileno())]
    own = {**os.environ, "ONELOOK_HOME": str(home)}
    with subprocess.Popen(
        command, cwd=root, env=own, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
    ) as process:
        theirs.close()
        assert ready(process)["style_worker"] == 2
        began = time.monotonic()
        ours.close()
        assert process.wait(20) == 0
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("settings", "says"), [({"style_workers": "x"}, "ONELOOK_STYLE_WORKERS"), ({"prot": "1"}, "ONELOOK_PROT")]
)
def test_what_cannot_work_is_one_sentence(start, settings, says):
    process = start("work", **settings)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.count("\n")) == (2, 1)
    assert says in err
