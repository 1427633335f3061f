"""The master keys: they wrap the keys of people, and lie outside the database."""

import base64
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import Misconfigured, SealBroken
from app.store.durable import sync_folder

KEY_BYTES = 32
# Nobody takes as long to write a file of a few lines.
DRAFT_S = 60.0


class MasterRing:
    """Master keys by their ids; the first is the one to be used. Thread-safe. Shows no key in its texts.

    Of a file it is read again whenever an id is asked for that is not known: another process may have added a key.
    """

    def __init__(self, keys: Sequence[bytes], path: Path | None = None) -> None:
        """path: the file that the keys came from; None: they were given, and cannot be changed from here."""
        self._path = path
        self._lock = threading.Lock()
        self._take(keys)

    @classmethod
    def given(cls, text: str) -> "MasterRing":
        """Keys in base64, separated by commas. Raises Misconfigured, without a value in its text."""
        return cls(_from_base64(text.split(","), "ONELOOK_MASTER_KEY"))

    @classmethod
    def of_file(cls, path: Path, *, anything_sealed: Callable[[], bool] = lambda: False) -> "MasterRing":
        """The keys in that file, which is made where it is missing. Raises Misconfigured when it cannot be used.

        Several processes may start at once: the first file that is complete counts, for all of them. anything_sealed:
        asked where there is no file; a new key could not open what is there, so none is made.
        """
        if not path.exists():
            # Looked for again: another process may have made it, and sealed a first template, since.
            if anything_sealed() and not path.exists():
                raise Misconfigured(
                    f"{path} is missing, and what is stored was sealed with it: put {_short(path)} back from where "
                    "its copy is kept; without it nobody can be recognized"
                )
            _make(path)
        _sweep(path)
        return cls(read_keys(path), path)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the first one first."""
        return tuple(self._ciphers)

    @property
    def path(self) -> Path | None:
        """The file, where there is one."""
        return self._path

    @property
    def remedy(self) -> str:
        """What to do when the ring holds the wrong keys."""
        if self._path is None:
            return "give the right keys in ONELOOK_MASTER_KEY"
        return f"put the right {_short(self._path)} back"

    def cipher(self, master_id: str) -> AESGCM:
        """What wraps and unwraps with that key. Raises SealBroken when the ring does not hold it."""
        if master_id not in self._ciphers:
            self.read_again()
        try:
            return self._ciphers[master_id]
        except KeyError:
            raise SealBroken(
                f"The key was wrapped by the master key {master_id}, and those at hand are {', '.join(self.ids)}: "
                f"{self.remedy}."
            ) from None

    def read_again(self) -> None:
        """Takes the keys as they now stand in the file. Raises Misconfigured."""
        if self._path is not None:
            self._take(read_keys(self._path))

    def add(self) -> str:
        """Makes a key and puts it first in the file, durably; its id. Raises Misconfigured where that cannot be."""
        if self._path is None:
            raise Misconfigured(
                "there is no new master key to rotate to: put one before the old one, "
                "ONELOOK_MASTER_KEY=<new>,<old>, start every process with it, and rotate again; "
                "`openssl rand -base64 32` makes one"
            )
        fresh = secrets.token_bytes(KEY_BYTES)
        try:
            self._write(self._path, (fresh, *read_keys(self._path)))
        except OSError as e:
            raise Misconfigured(
                f"{self._path} cannot be written ({e.strerror}): put a new key on its first line by hand, and rotate "
                "again; `openssl rand -base64 32` makes one"
            ) from e
        return master_id(fresh)

    def keep_only(self, wanted: str) -> bool:
        """Takes every other key out of the file, durably; False where the file is not ours to change."""
        if self._path is None:
            return self.ids == (wanted,)
        kept = [key for key in read_keys(self._path) if master_id(key) == wanted]
        try:
            self._write(self._path, kept)
        except OSError:
            return False
        return True

    def _write(self, path: Path, keys: Sequence[bytes]) -> None:
        draft = _draft(path, keys)
        try:
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)
        self._take(keys)

    def _take(self, keys: Sequence[bytes]) -> None:
        with self._lock:
            # Anew, not changed in place: other threads look into it without the lock.
            self._ciphers = {master_id(key): AESGCM(key) for key in keys}


def master_id(key: bytes) -> str:
    """Names a master key without telling anything of it."""
    return hashlib.sha256(b"onelook master key id\0" + key).hexdigest()[:16]


def read_keys(path: Path) -> list[bytes]:
    """The keys of 32 bytes in that file, in its order. Raises Misconfigured, and OSError where there is none.

    Lines of base64; a file of exactly 32 bytes is a key as it is, as the first version wrote it.
    """
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise Misconfigured(f"{path} can be read by others: chmod 600 {path}")
    content = path.read_bytes()
    if len(content) == KEY_BYTES:
        return [content]
    return _from_base64(content.decode("ascii", "replace").split("\n"), str(path))


def _from_base64(texts: Sequence[str], place: str) -> list[bytes]:
    try:
        keys = [base64.b64decode(text.strip(), validate=True) for text in texts if text.strip()]
    except ValueError:
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise Misconfigured(f"{place} must hold keys of {KEY_BYTES} bytes in base64: put the right ones back")
    return list(dict.fromkeys(keys))


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path, [secrets.token_bytes(KEY_BYTES)])
    try:
        # A link, not a rename: it fails when another process was first, and so nobody's key is overwritten.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
        # The entry in the folder must survive power loss too, or everything is lost with the key.
        sync_folder(path.parent)
    sync_folder(path.parent.parent)


def _draft(path: Path, keys: Sequence[bytes]) -> Path:
    """A file beside it with those keys, on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(base64.b64encode(key) + b"\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sweep(path: Path) -> None:
    """Deletes drafts of processes that were killed: they may hold keys that are retired by now."""
    for draft in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > DRAFT_S:
                draft.unlink()
