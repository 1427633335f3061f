"""How names are compared when somebody looks for a person."""

import unicodedata


def folded(name: str) -> str:
    """The name without case and without compatible spellings, so that `STRASSE` finds `Straße`."""
    once = unicodedata.normalize("NFKC", name).casefold()
    # Folding may undo the normal form, which would hide equal texts from each other.
    return unicodedata.normalize("NFKC", once)
