"""Folders whose entries outlast power loss."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes what was made, renamed or deleted in it outlast power loss. Raises OSError."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
