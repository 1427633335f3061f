"""Memory that is used again instead of being given back and asked for again.

An evaluation makes and drops some hundred megabytes. By default glibc returns each large block to the system at once,
and the next one is filled page by page with zeros; what that costs, `python -m benchmarks.style_arithmetic` tells.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_memory() -> bool:
    """From now on this process keeps what it frees, for the next evaluation; False where the C library cannot.

    For processes that render: what they once needed they hold until they end, or until `release`.
    """
    library = _c_library()
    return library is not None and bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def release() -> None:
    """Gives back what is free now, as between two renders."""
    if (library := _c_library()) is not None:
        library.malloc_trim(0)


def _c_library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
