"""Bytes are sealed at rest: they open with their key only, and only as what they were sealed as."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
_TEMPLATE = b"onelook template v1"
_CROP = b"onelook crop v1"


def seal(cipher: AESGCM, plain: bytes, belonging: bytes) -> bytes:
    """Nonce (12 bytes, random each time) + ciphertext + tag (16 bytes), by AES-256-GCM."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, belonging)


def unseal(cipher: AESGCM, sealed: bytes, belonging: bytes) -> bytes:
    """What was sealed. Raises SealBroken when the key is another one, or anything was altered or moved."""
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belonging)
    except (InvalidTag, ValueError) as e:
        raise SealBroken("What is stored cannot be opened: it was altered. Restore it from a backup.") from e


def belonging_of(*parts: bytes | str) -> bytes:
    """What sealed bytes are bound to, as bytes; different parts never give the same."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    # With lengths: ("ab", "c") must not be taken for ("a", "bc").
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def template_belonging(template_id: str, person_id: str, model_id: str) -> bytes:
    """Binds a vector to its row, so that nobody can give a person another's face by moving bytes."""
    return belonging_of(_TEMPLATE, template_id, person_id, model_id)


def crop_belonging(template_id: str, person_id: str) -> bytes:
    """Binds a crop to the template that was made of it."""
    return belonging_of(_CROP, template_id, person_id)
