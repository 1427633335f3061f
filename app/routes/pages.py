"""Lists in pages: `?limit=` and `?cursor=`, answered by `{items, next_cursor}`."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from app.domain.particulars import is_id
from app.errors import InvalidField
from app.routes.fields import Field
from app.routes.kinds import text, whole

T = TypeVar("T")

LIMIT = Field("limit", whole(1, 500), "items of one page", default=50)
CURSOR = Field("cursor", text(200), "next_cursor of the page before")


def after(cursor: str | None) -> str | None:
    """The id behind which a page begins. Raises InvalidField for a cursor that was not given out."""
    if cursor is None:
        return None
    try:
        found = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii")
    except (binascii.Error, ValueError):
        found = ""
    if not is_id(found):
        raise InvalidField("cursor", "Send next_cursor as the page before gave it, or leave it out.")
    return found


def page(found: Sequence[T], limit: int, id_of: Callable[[T], str], show: Callable[[T], Any]) -> dict[str, Any]:
    """The body of a page; `found` holds one more than `limit` where there is a next page."""
    items = found[:limit]
    more = len(found) > limit
    cursor = base64.urlsafe_b64encode(id_of(items[-1]).encode()).decode() if more else None
    return {"items": [show(item) for item in items], "next_cursor": cursor}
