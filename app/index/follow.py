"""Keeps an index in step with the rows: reads the change feed and applies what is newer (DESIGN, rule 2)."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from app.domain.face import Vector
from app.domain.gallery import EVERYBODY, NamedGallery
from app.domain.model import ModelChanged, Served
from app.domain.person import Change
from app.errors import StoreAway
from app.index.roster import Entries, Roster
from app.index.snapshot import Snapshot
from app.index.snapshot_file import SnapshotFile
from app.ports import Hit, Store, UnitOfWork, VectorIndex

# Bounds the memory that one step takes: 1,000 vectors are half a megabyte.
BATCH = 1000

T = TypeVar("T")


class FollowedGallery:
    """Fits `ports.Gallery`: the templates of the model that is served, as the rows have them. Thread-safe.

    A template's change is applied by looking at its row, not by believing the change: a row that was removed in the
    meantime is simply not there, and a change that is applied twice does no harm.
    """

    def __init__(
        self,
        store: Store,
        make_index: Callable[[], VectorIndex],
        model_id: str,
        report: Callable[[str], object] = lambda text: None,
        snapshots: SnapshotFile | None = None,
        on_model: Callable[[Served], object] = lambda served: None,
    ) -> None:
        """model_id: whose templates are held until the rows say another.

        report: told once of each template that cannot be opened; such a one is not held, and matches nobody.
        snapshots: where vectors are kept to start faster; None: every start opens every row. on_model: told what the
        rows say is served, before it is; what it raises keeps the gallery where it is.
        """
        self._store = store
        self._report = report
        self._unreadable: set[str] = set()
        self._make_index = make_index
        self._on_model = on_model
        self._served = Served(model_id)
        self._lock = threading.Lock()
        # It says of which model it is: whoever searches in it sees both of one moment.
        self._held = Roster(make_index, model_id)
        self._seq = 0
        self._epoch = 0
        self._snapshots = snapshots
        #: The seq of the snapshot on disk, so that one is not written twice; None: there is none.
        self._kept: int | None = None
        #: How often the snapshot had to go, so that one that was being written meanwhile goes too.
        self._drops = 0

    @property
    def seq(self) -> int:
        """The last change that was applied."""
        return self._seq

    @property
    def served(self) -> Served:
        """The model whose templates are held, and the one that is prepared."""
        return self._served

    def rebuild(self) -> int:
        """Reads every row anew, while the old vectors still answer; the seq reached."""
        with self._lock, self._store.read() as uow:
            self._read_all(uow)
        return self._seq

    def _read_all(self, uow: UnitOfWork) -> None:
        while True:
            # Noted before the rows are read: what is written meanwhile is applied again, and none is skipped.
            head, epoch = uow.changes.head(), uow.changes.epoch()
            served = uow.models.served() or self._served
            self._go_over(served)
            fresh = Roster(self._make_index, served.model_id)
            # Galleries first: each template then goes where its person is a member.
            for page in _galleries(uow):
                fresh.open_gallery(page.id)
            for pairs in _batches(uow.galleries.memberships()):
                fresh.enlist(pairs)
            for entries in self._entries(uow, served.model_id):
                fresh.put(entries)
            # A cut-over meanwhile has taken templates away that were still to be read.
            if uow.changes.epoch() == epoch and self._is_served(served.model_id, uow):
                break
        self._held, self._seq = fresh, max(head, self._seq) if epoch == self._epoch else head
        self._epoch = epoch

    def _go_over(self, served: Served) -> None:
        """Makes ready for what is served from now on. What is held stays as it is."""
        if served == self._served:
            return
        self._on_model(served)
        if served.model_id != self._served.model_id and self._snapshots is not None:
            self._let_go_of_snapshot()
            self._snapshots = self._snapshots.of_model(served.model_id)
        self._served = served

    def _is_served(self, model_id: str, uow: UnitOfWork) -> bool:
        served = uow.models.served()
        return served is None or served.model_id == model_id

    def keep_snapshot(self) -> bool:
        """Writes what is held to disk, unless that is there already; whether it is there now."""
        snapshots = self._snapshots
        if snapshots is None or self._kept == self._seq:
            return snapshots is not None
        with snapshots.alone() as alone:
            if not alone:
                return False
            with self._lock:
                seq, entries, drops = self._seq, self._held.everything(), self._drops
                model_id = self._held.model_id
            if not snapshots.write(Snapshot(seq, model_id, entries.ids, entries.owners, entries.vectors)):
                return False
            if snapshots is not self._snapshots:  # of a model that is not served any more
                snapshots.discard()
                return False
            self._kept = seq
        # Whoever was erased while it was written is in it, and the erasure found no file to delete: look now.
        self.catch_up()
        if self._drops != drops:
            self.drop_snapshot()
        return self._kept is not None

    def drop_snapshot(self) -> int:
        """Deletes the snapshot; how many files that were. Raises OSError."""
        self._kept = None
        self._drops += 1
        return 0 if self._snapshots is None else self._snapshots.discard()

    def catch_up(self) -> int:
        """Applies every change that was committed before the call; the seq reached.

        One small query when there is none. Whoever got seq s here finds every change up to s in `search`.
        """
        with self._store.read() as uow:
            head = uow.changes.head()
            if head > self._seq or uow.changes.epoch() != self._epoch:
                with self._lock:
                    self._follow(head, uow)
        return self._seq

    def size(self, gallery: str = EVERYBODY) -> tuple[int, int]:
        """(persons, templates) held in that gallery; (0, 0) where there is no such gallery."""
        return self._held.size(gallery)

    def search(self, vector: Vector, k: int, gallery: str = EVERYBODY, *, model_id: str | None = None) -> list[Hit]:
        """The k closest templates of that gallery, closest first. Raises ModelChanged where all are another model's."""
        held = self._held
        if model_id is not None and model_id != held.model_id:
            raise ModelChanged
        index = held.index(gallery)
        return [] if index is None else index.search(vector, k)

    def holds_any(self, template_ids: Sequence[str]) -> bool:
        """Whether any of these templates is still held, in any gallery."""
        held = self._held
        return any(id_ in index for index in held.indexes() for id_ in template_ids)

    def _follow(self, head: int, uow: UnitOfWork) -> None:
        # Asked again under the lock: another thread may have gone over to a new primary while this one waited.
        if uow.changes.epoch() == self._epoch:
            self._apply_until(head, uow)
            # Rows are looked up as they are now: of a cut-over behind that head, all of it must be followed.
            if uow.changes.epoch() == self._epoch and not self._is_served(self._held.model_id, uow):
                self._read_all(uow)
        # After a failover a seq may mean another change than it did, and what was followed may never have been.
        if uow.changes.epoch() > self._epoch:
            self._read_all(uow)
        elif uow.changes.epoch() < self._epoch:
            raise StoreAway("This was asked of a database server that another one has replaced: try again.")

    def _apply_until(self, head: int, uow: UnitOfWork) -> None:
        while self._seq < head:
            changes = uow.changes.since(self._seq, BATCH)
            if uow.changes.epoch() != self._epoch:
                return
            if not changes:
                # A feed whose head is there but not its rows would be followed for ever.
                raise RuntimeError(f"the change feed ends before its head {head}")
            if _ids(changes, "model"):
                served = uow.models.served() or self._served
                if served.model_id != self._held.model_id:
                    self._read_all(uow)
                    continue
                self._go_over(served)
            self._apply(changes, uow)
            # Last: the seq is a promise to every thread that reads it without the lock.
            self._seq = changes[-1].seq

    def _apply(self, changes: Sequence[Change], uow: UnitOfWork) -> None:
        for id_ in _ids(changes, "gallery"):
            # Looked up, too: a gallery may have been removed and made again under the same id.
            self._held.close_gallery(id_)
            if uow.galleries.get(id_) is not None:
                self._held.open_gallery(id_)
                self._fill(id_, uow)
        gone = [id_ for id_, op in _ids(changes, "person").items() if op == "remove"]
        moved: dict[str, tuple[str, ...]] = dict.fromkeys([*_ids(changes, "member"), *gone], ())
        galleries_of = moved | uow.galleries.of_many(list(moved)) if moved else moved
        # In one step: whoever is merged or split stays where both the one and the other are.
        self._settle(galleries_of, _ids(changes, "template"), uow)

    def _fill(self, gallery: str, uow: UnitOfWork) -> None:
        after: str | None = None
        while members := uow.galleries.members(gallery, after=after, limit=BATCH):
            self._settle(uow.galleries.of_many(members), {}, uow)
            after = members[-1]

    def _settle(self, galleries_of: Mapping[str, tuple[str, ...]], touched: Mapping[str, str], uow: UnitOfWork) -> None:
        """Puts these persons into exactly these galleries; touched: template id -> what was last done to it."""
        last_op = dict.fromkeys(self._held.templates_of(galleries_of), "update") | dict(touched)
        self._held.assign(galleries_of)
        gone = []
        for ids in _batches(last_op):
            wanted = [id_ for id_ in ids if last_op[id_] != "remove"]
            rows = uow.templates.with_ids(wanted, unreadable=self._pass_over) if wanted else []
            present = [t for t in rows if t.model_id == self._held.model_id]
            kept = {template.id for template in present}
            self._held.put(Entries.of(present))
            missing = [id_ for id_ in ids if id_ not in kept]
            self._held.drop(missing)
            gone += missing
        if gone:
            self._let_go_of_snapshot()

    def _entries(self, uow: UnitOfWork, model_id: str) -> Iterator[Entries]:
        snapshot = None if self._snapshots is None else self._snapshots.read()
        if snapshot is None:
            for templates in _batches(uow.templates.of_model(model_id, unreadable=self._pass_over)):
                yield Entries.of(templates)
            return
        # Only for the vectors: who is enrolled, and whose each template is, is read from the rows.
        places = {id_: place for place, id_ in enumerate(snapshot.ids)}
        found = 0
        for pairs in _batches(uow.templates.owners_of_model(model_id)):
            known = [(id_, owner) for id_, owner in pairs if id_ in places]
            found += len(known)
            vectors = snapshot.vectors[[places[id_] for id_, _ in known]]
            yield Entries([id_ for id_, _ in known], [owner for _, owner in known], vectors)
            missing = [id_ for id_, _ in pairs if id_ not in places]
            yield Entries.of(uow.templates.with_ids(missing, unreadable=self._pass_over) if missing else [])
        if found < len(places):
            # It holds somebody who is not enrolled any more.
            self._let_go_of_snapshot()

    def _let_go_of_snapshot(self) -> None:
        try:
            self.drop_snapshot()
        except OSError as e:  # the index is right all the same, and must go on; the erasure itself tells of it
            self._report(f"a snapshot that holds removed templates cannot be deleted: {type(e).__name__}")

    def _pass_over(self, template_id: str) -> None:
        # One altered row must not keep everybody else out. Only under the lock.
        if template_id not in self._unreadable:
            self._unreadable.add(template_id)
            self._report(f"the template {template_id} cannot be opened and is not compared: run `onelook doctor`")


def _ids(changes: Sequence[Change], kind: str) -> dict[str, str]:
    """Id -> what was last done to it, of the changes of that kind."""
    return {change.id: change.op for change in changes if change.kind == kind}


def _galleries(uow: UnitOfWork) -> Iterator[NamedGallery]:
    after: str | None = None
    while page := uow.galleries.page(after=after, limit=BATCH):
        yield from page
        after = page[-1].id


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
