"""Searching inside the database, by pgvector: nothing is held in memory, and every process sees each commit at once."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Row, TextClause
from sqlalchemy.exc import ProgrammingError

from app.domain.face import Vector
from app.domain.gallery import EVERYBODY
from app.domain.model import ModelChanged, Served
from app.errors import StoreAway
from app.ports import Hit
from app.store.database import Report
from app.store.faults import state_of
from app.store.pgvector import queries
from app.store.pgvector.clear import written
from app.store.pgvector.recall import first_missed
from app.store.pgvector.table import fill
from app.store.unit_of_work import SqlStore

# Up to so many templates every vector is compared; docs/benchmarks.md has the times.
BOUND = 50_000
# After so many searches of the graph, or so long, probes are asked of it and of every vector.
CHECK_AFTER, CHECK_EVERY_S = 50_000, 600.0
# Sizes that are remembered at most.
MOST_SIZES = 10_000
UNDEFINED_TABLE = "42P01"

# Which history a seq belongs to, and the seq.
Moment = tuple[int, int]


class Helpers(Protocol):
    """Further servers that may answer instead of the primary."""

    def ask(self, query: TextClause, values: dict[str, Any], moment: Moment) -> Sequence[Row[Any]] | None:
        """The rows, each with the seq `reached`, as of that moment or later; None: ask the primary."""
        ...


class _NobodyHelps:
    def ask(self, query: TextClause, values: dict[str, Any], moment: Moment) -> Sequence[Row[Any]] | None:
        return None


class PgVectorGallery:
    """Fits `ports.Gallery`: the vectors in clear of the model that is served, in the table of `table.py`. Thread-safe.

    Scores are inner products of the stored float32, computed by the database. The graph (HNSW) answers for everybody
    beyond `bound` templates, as long as it misses nobody: see `check`. In a gallery every member's vector is compared.
    """

    def __init__(
        self,
        store: SqlStore,
        model_id: str,
        report: Report = lambda text: None,
        *,
        least: Callable[[], float] = lambda: 0.3,
        bound: int = BOUND,
        helpers: Helpers | None = None,
        start: Callable[[Callable[[], object]], object] = lambda check: threading.Thread(
            target=check, name="onelook-recall", daemon=True
        ).start(),
        on_model: Callable[[Served], object] = lambda served: None,
    ) -> None:
        """model_id: whose vectors are searched until the rows say another; report: told of what is wrong.

        least: the least similarity that any threshold lies at, now; start: runs a check; bound: templates up to which
        no graph is asked; helpers: asked before the primary, where there are any; on_model: told what the rows say is
        served, before it is; what it raises keeps the gallery where it is.
        """
        self._store, self._report, self._on_model = store, report, on_model
        self._served = Served(model_id)
        self._switching = threading.Lock()
        self._least, self._bound, self._start = least, bound, start
        self._helpers = helpers or _NobodyHelps()
        self._lock = threading.Lock()
        self._moment: Moment = (0, 0)
        self._sizes: dict[str, tuple[Moment, tuple[int, int]]] = {}
        self._distrusted = False
        self._table_is_gone = False
        self._since_check, self._checked_at = 0, time.monotonic()
        self._unreadable: set[str] = set()

    @property
    def seq(self) -> int:
        """The last change that was seen to be committed; searches find every change up to it."""
        return self._moment[1]

    @property
    def served(self) -> Served:
        """The model whose vectors are searched, and the one that is prepared."""
        return self._served

    def catch_up(self) -> int:
        """Asks the primary for its last change; the seq. Raises StoreAway where the table of vectors is gone."""
        with self._store.read() as uow:
            row = uow.connection.execute(queries.HEAD).one()
            epoch = uow.changes.epoch()
        self._tell_of_table(gone=not row.there)
        if row.model_id is not None:
            self._go_over(Served(row.model_id, row.next_id), (epoch, row.head))
        with self._lock:
            same = epoch == self._moment[0]
            self._moment = (epoch, max(row.head, self._moment[1]) if same else row.head)
            return self._moment[1]

    def _go_over(self, served: Served, moment: Moment) -> None:
        if served == self._served:
            return
        with self._switching:
            # Somebody who asked later may have been faster.
            if served == self._served or moment < self._moment:
                return
            self._on_model(served)
            with self._lock:
                self._served, self._moment = served, moment
                self._sizes.clear()

    def rebuild(self) -> int:
        """Adds what the table lacks and makes the graph, the first time, then checks it; the seq reached."""
        fill(self._store, self._pass_over)
        seq = self.catch_up()
        self.check()
        return seq

    def size(self, gallery: str = EVERYBODY) -> tuple[int, int]:
        """(persons, templates) of that gallery; (0, 0) where there is none. Counted once for each seq."""
        moment, found = self._moment, self._sizes.get(gallery)
        if found is not None and found[0] == moment:
            return found[1]
        query = queries.SIZE if gallery == EVERYBODY else queries.SIZE_OF_GALLERY
        row = self._ask_primary(query, {"model": self._served.model_id, "gallery": gallery})[0]
        size = (row.persons, row.templates)
        with self._lock:
            if len(self._sizes) >= MOST_SIZES:
                self._sizes.clear()
            self._sizes[gallery] = (moment, size)
        return size

    def search(self, vector: Vector, k: int, gallery: str = EVERYBODY, *, model_id: str | None = None) -> list[Hit]:
        """The k closest templates of that gallery, closest first.

        Raises ModelChanged where they are another model's, StoreAway where the table is gone.
        """
        served = self._served.model_id
        if model_id is not None and model_id != served:
            raise ModelChanged
        values = {"model": served, "probe": written(vector), "k": k}
        if gallery != EVERYBODY:
            return self._hits(queries.EXACT_IN_GALLERY, {**values, "gallery": gallery})
        if self.exact:
            return self._hits(queries.EXACT, values)
        hits = self._hits(queries.NEAR, values)
        self._count_search()
        # The graph gives up after so many steps: fewer than were asked for are not all that there are.
        return hits if len(hits) == k else self._hits(queries.EXACT, values)

    def holds_any(self, template_ids: Sequence[str]) -> bool:
        """Whether any of these templates has a vector still, of whichever model."""
        return bool(self._ask_primary(queries.HOLDS_ANY, {"template_ids": queries.listed_ids(template_ids)})[0].held)

    def drop_snapshot(self) -> int:
        """There is none; 0."""
        return 0

    def keep_snapshot(self) -> bool:
        """There is none; False."""
        return False

    @property
    def exact(self) -> bool:
        """Whether every vector is compared with, for everybody too."""
        if self._distrusted:
            return True
        found = self._sizes.get(EVERYBODY)
        return (self.size() if found is None else found[1])[1] <= self._bound

    def engine(self) -> str:
        """What /info tells."""
        if self._distrusted:
            return "pgvector: every vector compared in the database, since the graph (HNSW) missed somebody"
        how = f"pgvector: every vector compared up to {self._bound} templates and in galleries"
        return f"{how}, above that by graph (HNSW), scores exact"

    def check(self) -> bool:
        """Asks probes of the graph and of every vector; after a miss the graph is asked no more. Whether it is well."""
        with self._lock:
            self._since_check, self._checked_at = 0, time.monotonic()
        if self.exact:
            return not self._distrusted
        with self._store.frozen() as uow:
            missed = first_missed(uow.connection, self._served.model_id, self.size()[1], self._least())
        if missed is not None:
            self._distrusted = True
            self._report(
                f"the graph of template_vectors missed somebody (probe {missed}): until the next start every vector is "
                "compared, which misses nobody and takes longer. Should the graph be damaged, REINDEX INDEX "
                "ix_template_vectors_graph makes it anew"
            )
        return missed is None

    def _count_search(self) -> None:
        with self._lock:
            self._since_check += 1
            due = self._since_check >= CHECK_AFTER or time.monotonic() - self._checked_at >= CHECK_EVERY_S
            if due:
                self._since_check, self._checked_at = 0, time.monotonic()
        if due:
            self._start(self._check_quietly)

    def _check_quietly(self) -> None:
        try:
            self.check()
        except Exception as e:  # the next one may be done; searches go on
            self._report(f"the graph of template_vectors could not be checked: {type(e).__name__}")

    def _hits(self, query: TextClause, values: dict[str, Any]) -> list[Hit]:
        rows = self._helpers.ask(query, values, self._moment)
        if rows is None:
            rows = self._ask_primary(query, values)
        hits = [Hit(row.template_id, float(row.similarity)) for row in rows]
        return sorted(hits, key=lambda hit: (-hit.similarity, hit.template_id))

    def _ask_primary(self, query: TextClause, values: dict[str, Any]) -> Sequence[Row[Any]]:
        try:
            with self._store.read() as uow:
                return uow.connection.execute(query, values).all()
        except ProgrammingError as e:
            if state_of(e) == UNDEFINED_TABLE:
                self._tell_of_table(gone=True)
            raise

    def _tell_of_table(self, *, gone: bool) -> None:
        told, self._table_is_gone = self._table_is_gone, gone
        if gone:
            if not told:
                self._report(
                    "the table template_vectors is gone: a service was started with ONELOOK_SEARCH=faiss on the same "
                    "database. Start all of them with the same value; nobody is searched for until then"
                )
            raise StoreAway("The database has no vectors to search in: the log says more.")

    def _pass_over(self, template_id: str) -> None:
        if template_id not in self._unreadable:
            self._unreadable.add(template_id)
            self._report(f"the template {template_id} cannot be opened and is not compared: run `onelook doctor`")
