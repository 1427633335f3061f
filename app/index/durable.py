"""A file that is replaced whole or not at all, whatever happens in between."""

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# A draft this old was left behind by a process that died.
ABANDONED_S = 3600.0


def replace(path: Path, parts: Iterable[bytes]) -> None:
    """Puts a file of these parts in place of an older one, durably: a reader finds the one or the other, whole.

    A stop in between leaves the older one, and a draft beside it that a later `replace` (after an hour) or `remove` (at
    once) takes away. The file can be read by its owner alone. Raises OSError, and whatever `parts` raises.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(path, ABANDONED_S)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove(path: Path) -> bool:
    """Deletes the file and every draft of one, durably; whether there was any. Raises OSError."""
    found = _sweep(path, older_than_s=0.0)
    with suppress(FileNotFoundError):
        path.unlink()
        found = True
    if found:
        _sync_folder(path.parent)
    return found


def _sweep(path: Path, older_than_s: float) -> bool:
    swept = False
    for draft in path.parent.glob(f".{path.name}.*.part"):
        # Another process may be writing one now, or have swept it already.
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime >= older_than_s:
                draft.unlink()
                swept = True
    return swept


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    # Else power loss could bring the older file back, or a removed one.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
