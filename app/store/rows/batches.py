"""The items of batches in SQL, and which photo became which template."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from app.domain.batch import BatchItem, Outcome, Place
from app.store.tables import PERSONS, TEMPLATES
from app.store.tables_of_work import BATCH_ITEMS, ENROLLED_PHOTOS, JOBS

# Items that one statement inserts.
PIECE = 2000
_STORED = ("enrolled", "template", "before")

_NAMES = ("number", "person", "source", "status", "person_id", "template_id", "code", "detail", "members", "place")
_ROWS = select(*(BATCH_ITEMS.c[name] for name in _NAMES)).where(BATCH_ITEMS.c.job_id == bindparam("job"))
_INSERT = insert(BATCH_ITEMS)
_PAGE = _ROWS.where(BATCH_ITEMS.c.number > bindparam("after")).order_by(BATCH_ITEMS.c.number).limit(bindparam("most"))
_PAGE_OF = _PAGE.where(BATCH_ITEMS.c.status == bindparam("which"))
_COUNTS = (
    select(BATCH_ITEMS.c.status, func.count())
    .where(BATCH_ITEMS.c.job_id == bindparam("job"))
    .group_by(BATCH_ITEMS.c.status)
)
_ONE = (BATCH_ITEMS.c.job_id == bindparam("job"), BATCH_ITEMS.c.number == bindparam("item"))
_STATUS = select(BATCH_ITEMS.c.status).where(*_ONE)
_SETTLE = (
    update(BATCH_ITEMS)
    .where(*_ONE, BATCH_ITEMS.c.status == "pending")
    .values(
        status=bindparam("to"),
        person_id=bindparam("whose"),
        template_id=bindparam("made"),
        code=bindparam("why"),
        detail=bindparam("says"),
        members=bindparam("more", type_=BATCH_ITEMS.c.members.type),
    )
)
_ENROLLED_AS = (
    select(TEMPLATES.c.person_id)
    .join_from(BATCH_ITEMS, TEMPLATES, BATCH_ITEMS.c.template_id == TEMPLATES.c.id)
    .where(BATCH_ITEMS.c.job_id == bindparam("job"), BATCH_ITEMS.c.person == bindparam("one"))
    .limit(1)
)
_NUMBERS = select(BATCH_ITEMS.c.number).where(
    BATCH_ITEMS.c.job_id == bindparam("job"), BATCH_ITEMS.c.status == bindparam("which")
)
_HELD = (
    select(BATCH_ITEMS.c.number)
    .join_from(BATCH_ITEMS, TEMPLATES, BATCH_ITEMS.c.template_id == TEMPLATES.c.id)
    .where(BATCH_ITEMS.c.job_id == bindparam("job"))
)
_OF_PERSON = (
    select(BATCH_ITEMS.c.job_id, *(BATCH_ITEMS.c[name] for name in _NAMES))
    .where(BATCH_ITEMS.c.person_id == bindparam("whose"))
    .order_by(BATCH_ITEMS.c.job_id, BATCH_ITEMS.c.number)
)
_CLEAR = delete(BATCH_ITEMS).where(BATCH_ITEMS.c.job_id == bindparam("job"))

_EXTERNAL_ID = select(PERSONS.c.external_id).where(PERSONS.c.id == bindparam("person"))
# What stands in a row of the four statements that find what an erasure blanks. Each goes by an index.
_FOUND = (BATCH_ITEMS.c.job_id, BATCH_ITEMS.c.number, BATCH_ITEMS.c.person, BATCH_ITEMS.c.status)
_NAMED = select(*_FOUND).where(BATCH_ITEMS.c.person_id == bindparam("erased_id"))
_MADE = (
    select(*_FOUND)
    .join_from(BATCH_ITEMS, TEMPLATES, BATCH_ITEMS.c.template_id == TEMPLATES.c.id)
    .where(TEMPLATES.c.person_id == bindparam("erased_id"))
)
_IN_FOLDER = select(*_FOUND).where(BATCH_ITEMS.c.job_id == bindparam("job"), BATCH_ITEMS.c.person == bindparam("one"))
# Photos that nothing came of yet, in a folder named as the external_id: "0" is what follows "/".
_TO_COME = select(*_FOUND).where(
    BATCH_ITEMS.c.status == "pending",
    BATCH_ITEMS.c.source > bindparam("folder", type_=BATCH_ITEMS.c.source.type) + "/",
    BATCH_ITEMS.c.source < bindparam("folder", type_=BATCH_ITEMS.c.source.type) + "0",
)
_BLANK = (
    update(BATCH_ITEMS)
    .where(*_ONE)
    .values(status="erased", source="", person_id=None, template_id=None, code=None, detail=None, members=None)
)
_STEPS = update(JOBS).where(JOBS.c.id == bindparam("job")).values(step=JOBS.c.step + bindparam("more_steps"))
_KIND = select(JOBS.c.kind).where(JOBS.c.id == bindparam("job"))
_ERASED_PLACES = _ROWS.where(BATCH_ITEMS.c.status == "erased", BATCH_ITEMS.c.place.is_not(None))
_NO_PLACE = update(BATCH_ITEMS).where(*_ONE).values(place=None)
_NOTE_PHOTO = insert(ENROLLED_PHOTOS)
_KNOWN_PHOTO = (
    select(TEMPLATES.c.id, TEMPLATES.c.person_id)
    .join_from(ENROLLED_PHOTOS, TEMPLATES)
    .where(ENROLLED_PHOTOS.c.digest == bindparam("content"))
    .limit(1)
)


class SqlBatches:
    """Fits `ports.Batches`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job_id: str, items: Iterable[BatchItem]) -> None:
        """Inserts."""
        rows = [_columns(job_id, item) for item in items]
        for begin in range(0, len(rows), PIECE):
            self._connection.execute(_INSERT, rows[begin : begin + PIECE])

    def page(self, job_id: str, *, status: str | None, after: int, limit: int) -> list[BatchItem]:
        """At most `limit` items in order of number, those behind the number `after`; all of them or of one status."""
        which = {"job": job_id, "after": after, "most": limit}
        if status is None:
            return [_item(row) for row in self._connection.execute(_PAGE, which).all()]
        return [_item(row) for row in self._connection.execute(_PAGE_OF, {**which, "which": status}).all()]

    def counts(self, job_id: str) -> dict[str, int]:
        """Status -> how many items have it; those of none are left out."""
        return {row[0]: row[1] for row in self._connection.execute(_COUNTS, {"job": job_id}).all()}

    def status(self, job_id: str, number: int) -> str | None:
        """The status of one item, or None."""
        found: str | None = self._connection.execute(_STATUS, {"job": job_id, "item": number}).scalar()
        return found

    def settle(self, job_id: str, number: int, outcome: Outcome) -> bool:
        """Writes what became of an item; False where it is not pending any more."""
        values = {
            "job": job_id,
            "item": number,
            "to": outcome.status,
            "whose": outcome.person_id,
            "made": outcome.template_id,
            "why": outcome.code,
            "says": outcome.detail,
            "more": None if outcome.members is None else dict(outcome.members),
        }
        return self._connection.execute(_SETTLE, values).rowcount > 0

    def of(self, person_id: str) -> list[tuple[str, BatchItem]]:
        """(job id, item) of every item that names that person."""
        return [(row[0], _item(row[1:])) for row in self._connection.execute(_OF_PERSON, {"whose": person_id}).all()]

    def enrolled_as(self, job_id: str, person: int) -> str | None:
        """The id of whom an item of that person of the batch was enrolled as, or None."""
        found: str | None = self._connection.execute(_ENROLLED_AS, {"job": job_id, "one": person}).scalar()
        return found

    def numbers(self, job_id: str, status: str) -> set[int]:
        """The numbers of the items of that status."""
        return set(self._connection.execute(_NUMBERS, {"job": job_id, "which": status}).scalars())

    def renew(self, job_id: str, items: Sequence[BatchItem]) -> None:
        """Makes every item that is neither stored as a template nor erased what `items` has it as."""
        done = set(self._connection.execute(_HELD, {"job": job_id}).scalars()) | self.numbers(job_id, "erased")
        held = {item.number: item for item in map(_item, self._connection.execute(_ROWS, {"job": job_id}).all())}
        self._connection.execute(_CLEAR, {"job": job_id})
        self.add(job_id, [held[item.number] if item.number in done else item for item in items])

    def clear(self, job_id: str) -> None:
        """Deletes every item of that job."""
        self._connection.execute(_CLEAR, {"job": job_id})

    def erase(self, person_id: str) -> dict[str, int]:
        """Blanks every item of that person, before the person's own rows are deleted; kind of job -> how many."""
        theirs = self._theirs(person_id)
        unsettled: dict[str, int] = {}
        for (job_id, number), status in theirs.items():
            self._connection.execute(_BLANK, {"job": job_id, "item": number})
            unsettled[job_id] = unsettled.get(job_id, 0) + (status == "pending")
        counts: dict[str, int] = {}
        for job_id, count in unsettled.items():
            self._connection.execute(_STEPS, {"job": job_id, "more_steps": count})
            kind = self._connection.execute(_KIND, {"job": job_id}).scalar_one()
            counts[kind] = counts.get(kind, 0) + sum(job == job_id for job, _ in theirs)
        return counts

    def _theirs(self, person_id: str) -> dict[tuple[str, int], str]:
        """(job id, number) -> status, of what an erasure blanks."""
        run, which = self._connection.execute, {"erased_id": person_id}
        found = [*run(_NAMED, which).all(), *run(_MADE, which).all()]
        # All photos of whoever turned out to be that person; of others only what looked like that person.
        for job_id, person in {(row.job_id, row.person) for row in found if row.status in _STORED}:
            found += run(_IN_FOLDER, {"job": job_id, "one": person}).all()
        external_id = run(_EXTERNAL_ID, {"person": person_id}).scalar()
        if external_id:
            found += run(_TO_COME, {"folder": external_id}).all()
        return {(row.job_id, row.number): row.status for row in found if row.status != "erased"}

    def erased_places(self, job_id: str) -> dict[int, Place]:
        """Number -> where the photo lies, for items of the erased whose place in the file was not blanked yet."""
        found = map(_item, self._connection.execute(_ERASED_PLACES, {"job": job_id}).all())
        return {item.number: item.place for item in found if item.place is not None}

    def forget_places(self, job_id: str, numbers: Collection[int]) -> None:
        """Notes that nothing lies there any more."""
        for number in numbers:
            self._connection.execute(_NO_PLACE, {"job": job_id, "item": number})

    def note_photo(self, template_id: str, digest: str) -> None:
        """Remembers which photo became that template; forgotten with the template."""
        self._connection.execute(_NOTE_PHOTO, {"template_id": template_id, "digest": digest})

    def known_photo(self, digest: str) -> tuple[str, str] | None:
        """(template id, person id) of what that photo became, or None."""
        row = self._connection.execute(_KNOWN_PHOTO, {"content": digest}).first()
        return None if row is None else (row[0], row[1])


def _item(row: Sequence[Any]) -> BatchItem:
    fields = list(row)
    fields[-1] = None if fields[-1] is None else Place(*fields[-1])
    return BatchItem(*fields)


def _columns(job_id: str, item: BatchItem) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(item, name) for name in _NAMES}
    values["members"] = None if item.members is None else dict(item.members)
    values["place"] = None if item.place is None else list(astuple(item.place))
    return {"job_id": job_id, **values}
