import socket
import subprocess
import sys
import time

import pytest

# A process that is held by a lifeline, and leaves at SIGTERM, or does not.
HELD = """
import pathlib, signal, socket, sys, time
from app.cli.share import Lifeline
if sys.argv[3] == "leaves":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
tie = Lifeline(socket.socket(fileno=int(sys.argv[1])))
tie.watch(patience_s=1.0, folder=pathlib.Path(sys.argv[2]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path, root):
    """Starts such a process: (process, our end of its lifeline, the folder)."""
    made = []

    def start(manner):
        folder = tmp_path / "shared"
        folder.mkdir()
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-c", HELD, str(theirs.fileno()), str(folder), manner]
        process = subprocess.Popen(command, cwd=root, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE)
        theirs.close()
        made.append((process, ours))
        assert process.stdout.readline() == b"held\n"
        return process, ours, folder

    yield start
    for process, ours in made:
        ours.close()
        process.kill()
        process.communicate()


def test_lives_as_long_as_the_supervisor_and_is_told_to_end_with_it(hold):
    process, ours, _ = hold("leaves")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    ours.close()
    assert process.wait(5) == 0


def test_is_gone_after_its_grace_even_if_it_hears_no_signal(hold):
    process, ours, folder = hold("stays")
    ours.close()
    began = time.monotonic()
    assert process.wait(10) == 1
    assert time.monotonic() - began < 5
    assert not folder.exists()


def test_the_verb_is_not_in_the_help(onelook):
    assert "serve-share" not in onelook("--help").stdout
