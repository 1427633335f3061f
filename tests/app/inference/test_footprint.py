import os
import platform
import subprocess
import sys

import pytest

# Eight threads each take and give back a little memory; glibc tells how many heaps it made for them.
CHILD = """
import ctypes, sys, threading
from app.inference.footprint import bound_footprint

if "bound" in sys.argv:
    assert bound_footprint()
together = threading.Barrier(8)

def work():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    together.wait()
    taken = libc.malloc(5000)
    together.wait()
    libc.free(taken)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.stdout.flush()
ctypes.CDLL(None).malloc_stats()
"""


def heaps(*words: str) -> int:
    own = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run([sys.executable, "-c", CHILD, *words], env=own, capture_output=True, text=True, check=True)
    return done.stderr.count("Arena ")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_many_threads_share_few_heaps():
    assert heaps("bound") <= 2 < heaps()


HELD = """
import ctypes
from pathlib import Path
from app.inference.footprint import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
# Small pieces, so that all of it lies in the heap, and one more on top that keeps the heap as long as it is.
pieces = [libc.malloc(60_000) for _ in range(2000)]
for piece in pieces:
    ctypes.memset(piece, 1, 60_000)
top = libc.malloc(60_000)
for piece in pieces:
    libc.free(piece)
before = resident()
assert give_back()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_is_held_for_nothing_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100_000_000


def test_what_the_environment_says_stays():
    from app.inference.footprint import bound_footprint

    before = dict(os.environ)
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "7"
    try:
        bound_footprint()
        assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
    finally:
        os.environ.clear()
        os.environ.update(before)
