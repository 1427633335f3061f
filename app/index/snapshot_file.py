"""The snapshot of one home and one model: read at start, written now and then, gone when somebody is erased."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.index import snapshot
from app.index.snapshot import Snapshot

NONCE_BYTES = 12


class SnapshotFile:
    """`<folder>/<model_id>.index`, sealed by AES-256-GCM under `key` (32 bytes). Thread-safe; processes may share it.

    report: told why a file that is there is not used, or could not be written; the rows are read instead.
    """

    def __init__(self, folder: Path, model_id: str, key: bytes, report: Callable[[str], object]) -> None:
        self._path = folder / f"{model_id}.index"
        self._model_id = model_id
        self._key = key
        self._cipher = AESGCM(key)
        self._report = report
        self._lock = threading.Lock()

    def of_model(self, model_id: str) -> "SnapshotFile":
        """That of another model, in the same folder."""
        return SnapshotFile(self._path.parent, model_id, self._key, self._report)

    def discard_others(self) -> int:
        """Deletes those of other models, which no erasure would reach; how many. Raises OSError."""
        others = [path for path in self._path.parent.glob("*.index") if path != self._path]
        return sum(snapshot.remove(path) for path in others)

    def read(self) -> Snapshot | None:
        """The snapshot, or None where there is none that can be used."""
        return snapshot.read(self._path, self._model_id, self._open, self._report)

    def write(self, content: Snapshot) -> bool:
        """Whether it was put in place; a full disk is reported, not raised."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock:
                snapshot.write(self._path, content, self._seal)
        except OSError as e:
            self._report(f"the snapshot {self._path.name} could not be written: {type(e).__name__}")
            return False
        return True

    def discard(self) -> int:
        """Deletes it; how many files that were. Raises OSError: an erasure must not pass over a file that stays."""
        with self._lock:
            return int(snapshot.remove(self._path))

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process may write now: one at a time of those that share the folder, and none waits."""
        try:
            import fcntl
        except ImportError:  # where there is no such lock, two may write, and the later file stays: both are whole
            yield True
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._path.parent / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _seal(self, plain: bytes, belonging: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, belonging)

    def _open(self, sealed: bytes, belonging: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belonging)
