"""Keeps an index in step with the rows: reads the change feed and applies what is newer (DESIGN, rule 2)."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from app.domain.face import Vector
from app.domain.person import Change, Template
from app.ports import Hit, Store, UnitOfWork, VectorIndex

# Bounds the memory that one step takes: 1,000 vectors are half a megabyte.
BATCH = 1000


class FollowedGallery:
    """Fits `ports.Gallery`: the templates of one model, as the rows have them. Thread-safe.

    A template's change is applied by looking at its row, not by believing the change: a row that was removed in the
    meantime is simply not there, and a change that is applied twice does no harm.
    """

    def __init__(
        self,
        store: Store,
        make_index: Callable[[], VectorIndex],
        model_id: str,
        report: Callable[[str], object] = lambda text: None,
    ) -> None:
        """report: told once of each template that cannot be opened; such a one is not held, and matches nobody."""
        self._store = store
        self._report = report
        self._unreadable: set[str] = set()
        self._make_index = make_index
        self._model_id = model_id
        self._lock = threading.Lock()
        self._held = _Held(make_index())
        self._seq = 0

    @property
    def seq(self) -> int:
        """The last change that was applied."""
        return self._seq

    def rebuild(self) -> int:
        """Reads every row anew, while the old vectors still answer; the seq reached."""
        with self._lock, self._store.read() as uow:
            # Noted before the rows are read: what is written meanwhile is applied again, and none is skipped.
            head = uow.changes.head()
            fresh = _Held(self._make_index())
            for batch in _batches(uow.templates.of_model(self._model_id, unreadable=self._pass_over)):
                fresh.put(batch)
            self._held, self._seq = fresh, max(head, self._seq)
        return self._seq

    def catch_up(self) -> int:
        """Applies every change that was committed before the call; the seq reached.

        One small query when there is none. Whoever got seq s here finds every change up to s in `search`.
        """
        with self._store.read() as uow:
            head = uow.changes.head()
            if head > self._seq:
                with self._lock:
                    self._apply_until(head, uow)
        return self._seq

    def size(self) -> tuple[int, int]:
        """(persons, templates) held."""
        return self._held.size()

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest templates, closest first."""
        return self._held.index.search(vector, k)

    def holds_any(self, template_ids: Sequence[str]) -> bool:
        """Whether any of these templates is still held."""
        index = self._held.index
        return any(id_ in index for id_ in template_ids)

    def _apply_until(self, head: int, uow: UnitOfWork) -> None:
        while self._seq < head:
            changes = uow.changes.since(self._seq, BATCH)
            if not changes:
                # A feed whose head is there but not its rows would be followed for ever.
                raise RuntimeError(f"the change feed ends before its head {head}")
            self._apply(changes, uow)
            # Last: the seq is a promise to every thread that reads it without the lock.
            self._seq = changes[-1].seq

    def _apply(self, changes: Iterable[Change], uow: UnitOfWork) -> None:
        touched = {change.id: change.op for change in changes if change.kind == "template"}
        wanted = [id_ for id_, last_op in touched.items() if last_op != "remove"]
        rows = uow.templates.with_ids(wanted, unreadable=self._pass_over) if wanted else []
        present = [t for t in rows if t.model_id == self._model_id]
        kept = {template.id for template in present}
        self._held.put(present)
        self._held.drop([id_ for id_ in touched if id_ not in kept])

    def _pass_over(self, template_id: str) -> None:
        # One altered row must not keep everybody else out. Only under the lock.
        if template_id not in self._unreadable:
            self._unreadable.add(template_id)
            self._report(f"the template {template_id} cannot be opened and is not compared: run `onelook doctor`")


class _Held:
    """An index and who owns its templates. One thread at a time changes it; any may read."""

    def __init__(self, index: VectorIndex) -> None:
        self.index = index
        self._owners: dict[str, str] = {}
        self._templates_of: Counter[str] = Counter()

    def size(self) -> tuple[int, int]:
        return len(self._templates_of), len(self._owners)

    def put(self, templates: Sequence[Template]) -> None:
        if not templates:
            return
        self.index.add([t.id for t in templates], np.stack([t.vector for t in templates]))
        for template in templates:
            self._forget_owner(template.id)
            self._owners[template.id] = template.person_id
            self._templates_of[template.person_id] += 1

    def drop(self, template_ids: Sequence[str]) -> None:
        if not template_ids:
            return
        self.index.remove(template_ids)
        for template_id in template_ids:
            self._forget_owner(template_id)

    def _forget_owner(self, template_id: str) -> None:
        owner = self._owners.pop(template_id, None)
        if owner is None:
            return
        self._templates_of[owner] -= 1
        if not self._templates_of[owner]:
            del self._templates_of[owner]


def _batches(templates: Iterator[Template]) -> Iterator[list[Template]]:
    while batch := list(islice(templates, BATCH)):
        yield batch
