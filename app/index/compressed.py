"""Every vector compared by its packed code first, and exactly where that says it may be close."""

import math
import threading
import time
from collections.abc import Callable, Sequence

import faiss
import numpy as np

from app.domain.face import Vector
from app.index.packed import CENTROIDS, SAMPLE, PackedCodes, Packing
from app.index.product import Places
from app.index.rows import Rows, search_in_turns
from app.index.vectors import DIMENSIONS, checked_probe, checked_probes, checked_rows
from app.ports import Hit

# Rows encoded while nobody else is let in, some 10 ms; and the pause after it, since a lock that is taken again at
# once is seldom had by those who wait for it.
ENCODED_A_TURN = 2048
PAUSE_S = 0.001
# The self-check: probes, how many hits of each, how close to a row, and how far similarities may lie apart.
PROBES = 32
PROBED_HITS = 8
NEAR = (0.4, 0.65)
EQUAL = 1e-6


def _in_background(build: Callable[[], None]) -> None:
    threading.Thread(target=build, name="index build", daemon=True).start()


class CompressedIndex:
    """Fits `ports.VectorIndex`: flat up to a bound, and above it `PQ64x4fs,RFlat`, whose similarities are exact too.

    The vectors lie in the flat storage throughout, so that there is something to compare with while codes are made,
    when their self-check fails, and in batches. Codes are made by a thread of their own; searches and changes come in
    between, and what changes meanwhile is in them.
    """

    def __init__(
        self,
        dimensions: int = DIMENSIONS,
        *,
        packing: Packing | None = None,
        report: Callable[[str], object] = lambda text: None,
        start: Callable[[Callable[[], None]], object] = _in_background,
    ) -> None:
        """report: told in one line when codes were refused; start: runs what it is given, now or in a thread."""
        self._dimensions = dimensions
        self._packing = packing or Packing()
        self._report = report
        self._start = start
        # One lock for all: faiss may read while others read, but neither while another adds or removes.
        self._lock = threading.Lock()
        self._rows = Rows(dimensions)
        self._codes: PackedCodes | None = None
        self._draft: PackedCodes | None = None
        self._settled = threading.Event()
        self._settled.set()
        # Rows there were at the last attempt to make codes, 0 before the first, and rows written since.
        self._learned = 0
        self._written = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, template_id: str) -> bool:
        return template_id in self._rows

    @property
    def packed(self) -> bool:
        """Whether codes answer now; else every vector is compared."""
        return self._codes is not None

    def settle(self, timeout_s: float | None = None) -> bool:
        """Waits until no codes are being made; False when that took longer than the timeout."""
        return self._settled.wait(timeout_s)

    def add(self, template_ids: Sequence[str], vectors: Vector) -> None:
        """Adds or replaces float32 (n, dimensions), rows of unit length. Raises ValueError for other vectors."""
        ids, rows = checked_rows(template_ids, vectors, self._dimensions)
        with self._lock:
            before = len(self._rows)
            replaced = self._rows.put(ids, rows)
            self._written += len(ids)
            self._follow(replaced, before)
            due = self._is_due()
        if due:
            self._begin()

    def remove(self, template_ids: Sequence[str]) -> int:
        """Removes what is held of these; how many that were."""
        with self._lock:
            before = len(self._rows)
            removed, refilled = self._rows.drop(template_ids)
            self._follow(refilled, before)
            if len(self._rows) < self._packing.bound // 2:
                self._codes = self._draft = None
                self._learned = 0
        return removed

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest, closest first. Raises ValueError for a probe that is not finite and of unit length."""
        probe = checked_probe(vector, self._dimensions)
        with self._lock:
            k = min(k, len(self._rows))
            return self._rows.hits(*self._search(self._codes, probe, k)) if k >= 1 else []

    def search_many(self, vectors: Vector, k: int) -> list[list[Hit]]:
        """The same for each of float32 (n, dimensions), by matrix products; single searches come in between."""
        return search_in_turns(self._rows, self._lock, checked_probes(vectors, self._dimensions), k)

    def held(self) -> tuple[list[str], Vector]:
        """Every id, and an own copy of the vectors, float32 (n, dimensions), in the same order."""
        with self._lock:
            return list(self._rows.ids), self._rows.matrix().copy()

    def _search(self, codes: PackedCodes | None, probe: Vector, k: int) -> tuple[Vector, Places]:
        rows = len(self._rows)
        proposed = self._packing.proposed(k, rows)
        # Codes that lack a row, should memory ever have run out amid a change, would miss it.
        if codes is None or len(codes) < rows or proposed > self._packing.worth * rows:
            return self._rows.search(probe, k)
        faiss.omp_set_num_threads(1)
        refined = faiss.IndexRefine(codes.faiss, self._rows.faiss)
        refined.k_factor = proposed / k
        similarities, places = refined.search(probe[None], k)
        # Fewer than asked for: whatever the reason, all vectors are there to be compared.
        return (similarities[0], places[0]) if places[0, -1] >= 0 else self._rows.search(probe, k)

    def _follow(self, touched: Sequence[int], before: int) -> None:
        """Brings codes in step with the rows. touched: places that hold another vector; before: rows there were."""
        rows = len(self._rows)
        for codes in (self._codes, self._draft):
            if codes is None:
                continue
            # A draft that is not complete covers the first rows only; the rest is encoded when its turn comes.
            complete = len(codes) == before
            if len(codes) > rows:
                codes.truncate(rows)
            places = [place for place in touched if place < len(codes)]
            codes.rewrite(places, self._rows.matrix()[places])
            if complete:
                codes.append(self._rows.matrix()[len(codes) :])

    def _is_due(self) -> bool:
        due = (
            self._settled.is_set()
            and len(self._rows) > self._packing.bound
            and self._written >= self._learned * self._packing.outlived
        )
        if due:
            self._settled.clear()
            self._learned, self._written = len(self._rows), 0
        return due

    def _begin(self) -> None:
        try:
            self._start(self._build)
        except RuntimeError:  # no thread to be had: the row is in, and searches are answered without codes
            self._finish("no thread could be started to make packed codes")

    def _build(self) -> None:
        try:
            refusal = self._encode()
        except Exception as e:  # in a thread of its own nobody would hear of it
            refusal = f"packed codes could not be made ({type(e).__name__})"
        self._finish(refusal)

    def _finish(self, refusal: str | None) -> None:
        with self._lock:
            # Refused, the older codes are no longer trusted either.
            self._codes, self._draft = None if refusal else self._draft, None
        self._settled.set()
        if refusal:
            self._report(f"{refusal}: every vector is compared instead, which takes longer and finds the same")

    def _encode(self) -> str | None:
        """Makes the draft and checks it; what is against it, or None. A draft that is dropped meanwhile stays None."""
        faiss.omp_set_num_threads(1)
        chance = np.random.default_rng(self._learned)
        with self._lock:
            sample = self._some_rows(chance, SAMPLE)
        if len(sample) < CENTROIDS:
            return None
        draft = PackedCodes(sample)
        with self._lock:
            self._draft = draft
        complete = False
        while not complete:
            with self._lock:
                if not self._is_wanted(draft):
                    return None
                done = len(draft)
                draft.append(self._rows.matrix()[done : done + ENCODED_A_TURN])
                complete = len(draft) == len(self._rows)
            time.sleep(PAUSE_S)
        misses = sum(not self._finds(draft, chance) for _ in range(PROBES))
        return f"packed codes missed what is closest to {misses} of {PROBES} probes" if misses else None

    def _finds(self, draft: PackedCodes, chance: np.random.Generator) -> bool:
        """Whether the draft gives a probe near some row the same similarities as comparing all does."""
        with self._lock:
            if not self._is_wanted(draft):
                return True
            probe = _near(self._some_rows(chance, 1)[0], chance)
            k = min(PROBED_HITS, len(self._rows))
            found, right = self._search(draft, probe, k)[0], self._rows.search(probe, k)[0]
        return bool(np.allclose(found, right, rtol=0, atol=EQUAL))

    def _is_wanted(self, draft: PackedCodes) -> bool:
        return self._draft is draft

    def _some_rows(self, chance: np.random.Generator, most: int) -> Vector:
        rows = len(self._rows)
        chosen = np.sort(chance.choice(rows, min(most, rows), replace=False))
        some: Vector = self._rows.matrix()[chosen]
        return some


def _near(row: Vector, chance: np.random.Generator) -> Vector:
    """A unit vector about as similar to the row as a face at the threshold is to its person. float32 (d,)."""
    similarity = chance.uniform(*NEAR)
    aside = chance.standard_normal(len(row))
    aside -= (aside @ row) * row
    aside *= math.sqrt(1 - similarity**2) / np.linalg.norm(aside)
    probe: Vector = (similarity * row + aside).astype(np.float32)
    return probe
