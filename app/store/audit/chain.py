"""The chain of the audit trail: HMAC-SHA256 from row to row, Ed25519 under its head, both from one secret."""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.audit import Anchor, Head, Line, Link, canonical
from app.errors import Misconfigured

SECRET_BYTES = 32
_ROWS, _SIGNING = b"onelook audit chain v1", b"onelook audit signing v1"
_HEAD, _ANCHOR = b"onelook audit head v1", b"onelook audit anchor v1"


class HmacChain:
    """Fits `audit_check.Chain`. Thread-safe.

    Whoever has the database and not the secret can make neither a mac nor a signature. Ed25519 and not HMAC under the
    head: an auditor who keeps heads can check each of them with the public key alone, and could not have made it.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise Misconfigured(f"the secret of the audit trail must be {SECRET_BYTES} bytes, not {len(secret)}")
        self._key = hmac.digest(secret, _ROWS, hashlib.sha256)
        self._signer = Ed25519PrivateKey.from_private_bytes(hmac.digest(secret, _SIGNING, hashlib.sha256))
        self.public_key = self._signer.public_key().public_bytes_raw()

    def mac(self, previous: bytes, line: Line) -> bytes:
        """HMAC over the mac before and every column of the row. TypeError, ValueError for what is no row."""
        return hmac.digest(self._key, len(previous).to_bytes(4, "big") + previous + canonical(line), hashlib.sha256)

    def sign_head(self, place: Link) -> Head:
        """The place, signed as a head."""
        return Head(place.seq, place.mac, self._signer.sign(_told(_HEAD, place.seq, place.mac)))

    def signed_head(self, head: Head) -> bool:
        """Whether that head was signed with this secret."""
        return self._signed(head.signature, _told(_HEAD, head.seq, head.mac))

    def sign_anchor(self, line: Line) -> Anchor:
        """The place of that row, signed as the one where the trail begins."""
        told = _told(_ANCHOR, line.seq, line.mac, line.at.isoformat().encode())
        return Anchor(line.seq, line.at, line.mac, self._signer.sign(told))

    def signed_anchor(self, anchor: Anchor) -> bool:
        """Whether that anchor was signed with this secret."""
        told = _told(_ANCHOR, anchor.seq, anchor.mac, anchor.at.isoformat().encode())
        return self._signed(anchor.signature, told)

    def _signed(self, signature: bytes, told: bytes) -> bool:
        try:
            self._signer.public_key().verify(signature, told)
        except InvalidSignature:
            return False
        return True


def _told(what: bytes, seq: int, *parts: bytes) -> bytes:
    every = (what, seq.to_bytes(8, "big"), *parts)
    return b"".join(len(part).to_bytes(4, "big") + part for part in every)
