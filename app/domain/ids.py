"""Ids that sort by the time they were made: 20 characters of 5 bits, 9 for the millisecond and 11 at random."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter is mistaken for a digit
RANDOM_BITS = 55


def make_id(prefix: str, milliseconds: int, random: int) -> str:
    """`<prefix>_<20 characters>` from the time since 1970 and a random number below 2**55."""
    number = (milliseconds << RANDOM_BITS) | random
    return f"{prefix}_" + "".join(ALPHABET[(number >> shift) & 31] for shift in range(95, -1, -5))
