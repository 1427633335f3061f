"""Vectors are sealed at rest: a stolen database without the master key holds no face."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.face import Vector
from app.errors import Misconfigured, SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
PURPOSE = b"onelook template v1"


class Sealer:
    """Seals and opens vectors by AES-256-GCM under one master key. Thread-safe.

    A sealed vector is nonce (12 bytes, random for each row) + ciphertext + tag (16 bytes). It opens only as the same
    template of the same person and model, so that nobody can give a person another's face by moving bytes.
    """

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise Misconfigured(f"the master key must be {KEY_BYTES} bytes, not {len(master_key)}")
        self._cipher = AESGCM(master_key)
        #: Names the key without telling anything of it.
        self.key_id = hashlib.sha256(b"onelook master key id\0" + master_key).hexdigest()[:16]

    def seal(self, vector: Vector, template_id: str, person_id: str, model_id: str) -> bytes:
        """float32 (n,) -> 12 + 4 n + 16 bytes, different each time."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = np.ascontiguousarray(vector, "<f4").tobytes()
        return nonce + self._cipher.encrypt(nonce, plain, _belonging(template_id, person_id, model_id))

    def open(self, sealed: bytes, key_id: str, template_id: str, person_id: str, model_id: str) -> Vector:
        """The vector, read-only. Raises SealBroken when the key is another one or anything was altered."""
        if key_id != self.key_id:
            raise SealBroken(
                f"The template {template_id} was sealed with the master key {key_id}, and the key at hand is "
                f"{self.key_id}: put the right keys/master.key back."
            )
        try:
            plain = self._cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _belonging(template_id, person_id, model_id)
            )
        except (InvalidTag, ValueError) as e:
            raise SealBroken(
                f"The stored template {template_id} cannot be opened: it was altered. Restore it from a backup."
            ) from e
        return np.frombuffer(plain, "<f4").astype(np.float32, copy=False)


def master_key(home: Path, *, anything_sealed: Callable[[], bool] = lambda: False) -> bytes:
    """The 32 bytes in `<home>/keys/master.key`, made at the first start. Raises Misconfigured when it cannot be used.

    Several processes may start at once: the first file that is complete counts, for all of them. anything_sealed:
    asked where there is no key; a new one could not open what is there, so none is made.
    """
    path = home / "keys" / "master.key"
    if not path.exists():
        # Looked for again: another process may have made it, and sealed a first template, since.
        if anything_sealed() and not path.exists():
            raise Misconfigured(
                f"{path} is missing and the database holds templates sealed with it: put keys/master.key back from a "
                "backup; without it nobody can be recognized"
            )
        _make(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise Misconfigured(f"{path} can be read by others: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{path} must hold {KEY_BYTES} bytes, not {len(key)}: put the right file back")
    return key


def _belonging(template_id: str, person_id: str, model_id: str) -> bytes:
    parts = [PURPOSE, template_id.encode(), person_id.encode(), model_id.encode()]
    # With lengths: ("ab", "c") must not be taken for ("a", "bc").
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".master.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, not a rename: it fails when another process was first, and so nobody's key is overwritten.
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
        _sync_folder(path.parent)
    _sync_folder(path.parent.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    # The entry in the folder must survive power loss too, or every template is lost with the key.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
