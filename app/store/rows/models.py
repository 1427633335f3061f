"""Which model is served, and the embeddings of the next one, in SQL."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, or_, select, update

from app.domain.model import Embedded, LeftBehind, Served, Waiting
from app.errors import SealBroken
from app.store.pgvector.clear import ClearVectors
from app.store.rows.changes import SqlChanges
from app.store.rows.crops import crop_from
from app.store.rows.template_parts import CROP, PARTS, SqlTemplateParts
from app.store.rows.templates import SqlTemplates
from app.store.tables import SERVED_MODEL, TEMPLATE_PARTS, TEMPLATES
from app.store.vault.unit_keys import UnitKeys

# Crops that `waiting` holds at a time: 38 KB each.
PIECE = 64
PLACE = 1

_SERVED = select(SERVED_MODEL.c.model_id, SERVED_MODEL.c.next_id).where(SERVED_MODEL.c.place == PLACE)
_SERVE = (
    update(SERVED_MODEL)
    .where(SERVED_MODEL.c.place == PLACE)
    .values(model_id=bindparam("model"), next_id=bindparam("next"))
)
_SERVE_FIRST = insert(SERVED_MODEL).values(place=PLACE, model_id=bindparam("model"), next_id=bindparam("next"))
_MODEL = bindparam("model", type_=TEMPLATES.c.model_id.type)
_OTHER = TEMPLATE_PARTS.alias("other")
_HAS_VECTOR = exists().where(_OTHER.c.template_id == TEMPLATES.c.id, _OTHER.c.part == _MODEL)
_HAS_CROP = exists().where(_OTHER.c.template_id == TEMPLATES.c.id, _OTHER.c.part == CROP)
_IS_DONE = or_(TEMPLATES.c.model_id == _MODEL, _HAS_VECTOR)
_WAITING = (
    PARTS.where(TEMPLATE_PARTS.c.part == CROP, TEMPLATE_PARTS.c.template_id > bindparam("after"), ~_IS_DONE)
    .order_by(TEMPLATE_PARTS.c.template_id)
    .limit(PIECE)
)
_DONE = select(func.count()).select_from(TEMPLATES).where(_IS_DONE)
_TO_BE_DONE = select(func.count()).select_from(TEMPLATES).where(or_(_IS_DONE, _HAS_CROP))
_HAVE_VECTOR = select(TEMPLATE_PARTS.c.template_id).where(
    TEMPLATE_PARTS.c.part == _MODEL, TEMPLATE_PARTS.c.template_id.in_(bindparam("ids", expanding=True))
)
# A template of the same person, the same one or another, that can be searched after the cut-over.
_TWIN, _PART = TEMPLATES.alias("twin"), TEMPLATE_PARTS.alias("part")
_TWINS = _TWIN.outerjoin(
    _PART, and_(_PART.c.template_id == _TWIN.c.id, or_(_PART.c.part == _MODEL, _PART.c.part == bindparam("or_part")))
)
_KEPT = (
    exists()
    .select_from(_TWINS)
    .where(
        _TWIN.c.person_id == TEMPLATES.c.person_id, or_(_TWIN.c.model_id == _MODEL, _PART.c.template_id.is_not(None))
    )
)
_LEFT = select(TEMPLATES.c.person_id).where(TEMPLATES.c.model_id == bindparam("searched"), ~_KEPT).distinct()
_COUNT_LEFT = select(func.count()).select_from(_LEFT.subquery())
_FIRST_LEFT = _LEFT.order_by(TEMPLATES.c.person_id).limit(bindparam("most"))
_OF_PART = (TEMPLATE_PARTS.c.template_id == TEMPLATES.c.id, TEMPLATE_PARTS.c.part == _MODEL)
_CUT_OVER = (
    update(TEMPLATES)
    .where(TEMPLATES.c.id.in_(select(TEMPLATE_PARTS.c.template_id).where(TEMPLATE_PARTS.c.part == _MODEL)))
    .values(
        model_id=_MODEL,
        key_id=select(TEMPLATE_PARTS.c.key_id).where(*_OF_PART).scalar_subquery(),
        sealed=select(TEMPLATE_PARTS.c.sealed).where(*_OF_PART).scalar_subquery(),
    )
)
_FORGET = delete(TEMPLATE_PARTS).where(TEMPLATE_PARTS.c.part != CROP, TEMPLATE_PARTS.c.part != bindparam("model"))


class SqlModels:
    """Fits `ports.Models`."""

    def __init__(self, connection: Connection, changes: SqlChanges, keys: UnitKeys, templates: SqlTemplates) -> None:
        self._connection = connection
        self._changes = changes
        self._templates = templates
        self._parts = SqlTemplateParts(connection, keys)
        self._clear = ClearVectors(connection)

    def served(self) -> Served | None:
        """What is served, or None."""
        row = self._connection.execute(_SERVED).first()
        return None if row is None else Served(*row)

    def serve(self, served: Served) -> None:
        """Writes it, and a change `model update`."""
        values = {"model": served.model_id, "next": served.next_id}
        if self._connection.execute(_SERVE, values).rowcount == 0:
            self._connection.execute(_SERVE_FIRST, values)
        self._changes.note("model", [served.model_id], "update")

    def waiting(self, model_id: str, *, unreadable: Callable[[str], object]) -> Iterator[Waiting]:
        """Every template with a crop and without an embedding by that model, in order of id, read in pieces."""
        after = ""
        while rows := self._connection.execute(_WAITING, {"model": model_id, "after": after}).all():
            for row, plain in zip(rows, self._parts.opened(rows), strict=True):
                if isinstance(plain, SealBroken):
                    unreadable(row.template_id)
                else:
                    yield Waiting(row.template_id, crop_from(plain))
            after = rows[-1].template_id

    def embed(self, model_id: str, embedded: Sequence[Embedded]) -> int:
        """Keeps those whose template has a row still, and no embedding by that model; how many."""
        ids = [one.template_id for one in embedded]
        owners = self._parts.owners(ids)
        have = set(self._connection.execute(_HAVE_VECTOR, {"model": model_id, "ids": ids}).scalars())
        fresh = {e.template_id: e.vector for e in embedded if e.template_id in owners.keys() - have}
        plain = {id_: np.ascontiguousarray(vector, "<f4").tobytes() for id_, vector in fresh.items()}
        self._parts.add(model_id, plain, owners)
        self._clear.add_of(model_id, owners, fresh)
        return len(fresh)

    def embedded(self, model_id: str) -> tuple[int, int]:
        """(done, of)."""
        done, of = (self._connection.execute(query, {"model": model_id}).scalar_one() for query in (_DONE, _TO_BE_DONE))
        return int(done), int(of)

    def left_behind(self, served: Served, *, with_crops: bool, limit: int) -> LeftBehind:
        """Persons who are searched now, and would not be after a cut-over to `next_id`."""
        or_part = CROP if with_crops else served.next_id
        which = {"searched": served.model_id, "model": served.next_id, "or_part": or_part}
        count = self._connection.execute(_COUNT_LEFT, which).scalar_one()
        first = self._connection.execute(_FIRST_LEFT, {**which, "most": limit}).scalars()
        return LeftBehind(int(count), tuple(first))

    def cut_over(self, model_id: str) -> int:
        """Makes the embeddings by that model those that are searched; how many."""
        count = self._connection.execute(_CUT_OVER, {"model": model_id}).rowcount
        self.forget_others(None)
        # Where vectors lie in clear: those that were embedded before they did.
        while ids := self._clear.missing(model_id, limit=PIECE):
            self._clear.add(self._templates.with_ids(ids))
        return count

    def forget_others(self, model_id: str | None) -> int:
        """Deletes kept embeddings of every other model than that one; how many."""
        return self._connection.execute(_FORGET, {"model": model_id or CROP}).rowcount

    def forget_clear(self) -> int:
        """Deletes vectors in clear that are neither searched nor prepared; how many."""
        return self._clear.forget_superseded()
