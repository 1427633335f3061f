"""The items of batches in memory: part of the published fake of the store."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from app.domain.batch import BatchItem, Outcome, Place
from app.store.memory.rows import Transaction


class MemoryBatches:
    """Fits `ports.Batches`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, job_id: str, items: Iterable[BatchItem]) -> None:
        """Inserts."""
        held = self._uow.rows_to_change().items
        for item in items:
            if (job_id, item.number) in held:
                raise RuntimeError(f"there is an item {item.number} of {job_id} already")
            held[job_id, item.number] = item

    def page(self, job_id: str, *, status: str | None, after: int, limit: int) -> list[BatchItem]:
        """At most `limit` items in order of number, those behind the number `after`; all of them or of one status."""
        found = (item for item in self._of(job_id) if item.number > after and status in (None, item.status))
        return sorted(found, key=lambda item: item.number)[:limit]

    def counts(self, job_id: str) -> dict[str, int]:
        """Status -> how many items have it; those of none are left out."""
        counts: dict[str, int] = {}
        for item in self._of(job_id):
            counts[item.status] = counts.get(item.status, 0) + 1
        return counts

    def status(self, job_id: str, number: int) -> str | None:
        """The status of one item, or None."""
        item = self._uow.rows().items.get((job_id, number))
        return None if item is None else item.status

    def settle(self, job_id: str, number: int, outcome: Outcome) -> bool:
        """Writes what became of an item; False where it is not pending any more."""
        items = self._uow.rows_to_change().items
        item = items.get((job_id, number))
        if item is None or item.status != "pending":
            return False
        values = {name: getattr(outcome, name) for name in Outcome.__dataclass_fields__}
        items[job_id, number] = replace(item, **values)
        return True

    def of(self, person_id: str) -> list[tuple[str, BatchItem]]:
        """(job id, item) of every item that names that person."""
        items = self._uow.rows().items
        return [(key[0], items[key]) for key in sorted(items) if items[key].person_id == person_id]

    def enrolled_as(self, job_id: str, person: int) -> str | None:
        """The id of whom an item of that person of the batch was enrolled as, or None."""
        templates = self._uow.rows().templates
        made = (item.template_id for item in self._of(job_id) if item.person == person)
        return next((templates[id_].person_id for id_ in made if id_ in templates), None)

    def numbers(self, job_id: str, status: str) -> set[int]:
        """The numbers of the items of that status."""
        return {item.number for item in self._of(job_id) if item.status == status}

    def renew(self, job_id: str, items: Sequence[BatchItem]) -> None:
        """Makes every item that is neither stored as a template nor erased what `items` has it as."""
        rows = self._uow.rows_to_change()
        done = (i for i in self._of(job_id) if i.template_id in rows.templates or i.status == "erased")
        kept = {item.number: item for item in done}
        rows.items = {key: item for key, item in rows.items.items() if key[0] != job_id}
        self.add(job_id, [kept.get(item.number, item) for item in items])

    def clear(self, job_id: str) -> None:
        """Deletes every item of that job."""
        rows = self._uow.rows_to_change()
        rows.items = {key: item for key, item in rows.items.items() if key[0] != job_id}

    def erase(self, person_id: str) -> dict[str, int]:
        """Blanks every item of that person, before the person's own rows are deleted; kind of job -> how many."""
        rows = self._uow.rows_to_change()
        templates = {template.id for template in rows.templates.values() if template.person_id == person_id}
        folders = {
            (job_id, item.person)
            for (job_id, _), item in rows.items.items()
            if item.status in ("enrolled", "template", "before")
            and (item.person_id == person_id or item.template_id in templates)
        }
        folder = rows.persons[person_id].external_id if person_id in rows.persons else None
        counts: dict[str, int] = {}
        for (job_id, number), item in list(rows.items.items()):
            theirs = item.person_id == person_id or (job_id, item.person) in folders
            to_come = item.status == "pending" and "/" in item.source and item.folder == folder
            if not (theirs or to_come) or item.status == "erased":
                continue
            rows.items[job_id, number] = BatchItem(number, item.person, "", "erased", place=item.place)
            if item.status == "pending":
                rows.jobs[job_id] = replace(rows.jobs[job_id], step=rows.jobs[job_id].step + 1)
            kind = rows.jobs[job_id].kind
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def erased_places(self, job_id: str) -> dict[int, Place]:
        """Number -> where the photo lies, for items of the erased whose place in the file was not blanked yet."""
        found = (item for item in self._of(job_id) if item.status == "erased")
        return {item.number: item.place for item in found if item.place is not None}

    def forget_places(self, job_id: str, numbers: Collection[int]) -> None:
        """Notes that nothing lies there any more."""
        items = self._uow.rows_to_change().items
        for number in numbers:
            items[job_id, number] = replace(items[job_id, number], place=None)

    def note_photo(self, template_id: str, digest: str) -> None:
        """Remembers which photo became that template; forgotten with the template."""
        self._uow.rows_to_change().enrolled_photos[template_id] = digest

    def known_photo(self, digest: str) -> tuple[str, str] | None:
        """(template id, person id) of what that photo became, or None."""
        rows = self._uow.rows()
        made = (id_ for id_, held in rows.enrolled_photos.items() if held == digest and id_ in rows.templates)
        return next(((id_, rows.templates[id_].person_id) for id_ in made), None)

    def _of(self, job_id: str) -> list[BatchItem]:
        return [item for key, item in self._uow.rows().items.items() if key[0] == job_id]
