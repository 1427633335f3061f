import subprocess
import sys

import pytest

from models.style import allocation


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_a_process_that_keeps_its_memory_still_computes_and_can_give_it_back():
    program = (
        "import resource; from models.style.allocation import keep_memory, release; kept = keep_memory();"
        "blocks = [bytearray(50_000_000) for _ in range(4)]; del blocks; release(); print(kept)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "False")


def test_where_there_is_no_such_library_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocation.keep_memory()
    allocation.release()
