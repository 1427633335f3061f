"""How much memory a process keeps for the networks while pictures of all sizes go through them."""

import ctypes
import os

# glibc's number of the option. Each thread that works gets a heap of its own otherwise, up to eight a core, and what a
# large picture once needed stays in each of them.
_ARENA_MAX = -8
ARENAS = 2
# oneDNN keeps what it prepared for each shape, 1024 of them where nothing is said; the shapes of doors are few.
SHAPES = 512


def give_back() -> bool:
    """Hands memory that is held for nothing back to the system, some ten milliseconds; whether there was any.

    The allocator keeps what a large picture needed as long as anything lies above it.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):  # another C library
        return False


def bound_footprint() -> bool:
    """Bounds what this process keeps; before the first network runs. Whether the allocator took its part.

    What the environment says already is left as it is.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(SHAPES))
    if "MALLOC_ARENA_MAX" in os.environ:
        return True
    try:
        return bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, ARENAS))
    except (AttributeError, OSError, TypeError):  # another C library: it has ways of its own
        return False
