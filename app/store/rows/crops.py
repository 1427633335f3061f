"""Kept crops in SQL."""

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, select

from app.domain.face import Crop
from app.errors import SealBroken, UnknownTemplate
from app.store.rows.changes import SqlChanges
from app.store.rows.template_parts import CROP, PARTS, SqlTemplateParts
from app.store.tables import TEMPLATE_PARTS, TEMPLATES
from app.store.vault.unit_keys import UnitKeys

CROP_SHAPE = (144, 144, 3)

_OF = PARTS.where(TEMPLATES.c.person_id == bindparam("person_id"), TEMPLATE_PARTS.c.part == CROP).order_by(
    TEMPLATE_PARTS.c.template_id
)
_COUNT = select(func.count()).select_from(TEMPLATE_PARTS).where(TEMPLATE_PARTS.c.part == CROP)
_COUNT_OF = (
    select(func.count())
    .select_from(TEMPLATE_PARTS.join(TEMPLATES))
    .where(TEMPLATES.c.person_id == bindparam("person_id"), TEMPLATE_PARTS.c.part == CROP)
)
_FORGET_ALL = delete(TEMPLATE_PARTS).where(TEMPLATE_PARTS.c.part == CROP)


class SqlCrops:
    """Fits `ports.Crops`. A crop is its 37,632 bytes before it is sealed, row by row, RGB."""

    def __init__(self, connection: Connection, changes: SqlChanges, keys: UnitKeys) -> None:
        self._connection = connection
        self._changes = changes
        self._parts = SqlTemplateParts(connection, keys)

    def keep(self, template_id: str, crop: Crop) -> None:
        """Keeps uint8 (144, 144, 3). Raises UnknownTemplate when there is no such row."""
        owners = self._parts.owners([template_id])
        if not owners:
            raise UnknownTemplate
        self._parts.add(CROP, {template_id: crop_bytes(crop)}, owners)

    def of(self, person_id: str) -> dict[str, Crop]:
        """Template id -> crop. Raises SealBroken."""
        rows = self._connection.execute(_OF, {"person_id": person_id}).all()
        found: dict[str, Crop] = {}
        for row, plain in zip(rows, self._parts.opened(rows), strict=True):
            if isinstance(plain, SealBroken):
                raise plain
            found[row.template_id] = crop_from(plain)
        return found

    def count(self, person_id: str | None = None) -> int:
        """How many there are, of that person or of everybody."""
        query = _COUNT if person_id is None else _COUNT_OF
        return int(self._connection.execute(query, {} if person_id is None else {"person_id": person_id}).scalar_one())

    def forget_all(self) -> int:
        """Deletes every crop for good, also from SQLite's log; how many."""
        self._changes.removed = True
        return self._connection.execute(_FORGET_ALL).rowcount


def crop_bytes(crop: Crop) -> bytes:
    """uint8 (144, 144, 3) -> 62,208 bytes. Raises ValueError for another shape or type."""
    if crop.shape != CROP_SHAPE or crop.dtype != np.uint8:
        raise ValueError("a crop is uint8 (144, 144, 3)")
    return np.ascontiguousarray(crop).tobytes()


def crop_from(plain: bytes) -> Crop:
    """What `crop_bytes` was given, read-only. Raises SealBroken for another number of bytes."""
    if len(plain) != np.prod(CROP_SHAPE):
        raise SealBroken("A stored crop has another size than it was written with. Restore it from a backup.")
    return np.frombuffer(plain, np.uint8).reshape(CROP_SHAPE)
