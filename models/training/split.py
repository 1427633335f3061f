"""Which identities are trained on and which are only looked at: decided by name, before anything is read."""

import hashlib

# Part of the rule: whoever changes it trains on those who were to be strangers.
SALT = "onelook split 1"
VALIDATION_SHARE = 0.3


def is_for_validation(identity: str, share: float = VALIDATION_SHARE) -> bool:
    """Whether that identity is never trained on. The same name in several folders falls on the same side."""
    number = int.from_bytes(hashlib.sha256(f"{SALT}:{identity}".encode()).digest()[:8])
    return number < share * 2**64
