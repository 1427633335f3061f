"""Galleries: named sets of persons that an identification can be restricted to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# The implicit gallery. It has no row: everybody is in it, always.
EVERYBODY = "all"


@dataclass(frozen=True, slots=True)
class NamedGallery:
    """A gallery that somebody made; its persons are its members."""

    id: str
    name: str
    created_at: datetime


# The galleries that a caller is bound to, of whose members alone it may hear; None: not bound.
Within = frozenset[str] | None


def shown(galleries: Sequence[str], within: Within) -> tuple[str, ...]:
    """Those of a person's galleries that such a caller may hear of; `all` stands first for one who is not bound."""
    return (EVERYBODY, *galleries) if within is None else tuple(name for name in galleries if name in within)
