"""One contract for every index; numpy says what is right."""

import math
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.index import ENGINES
from app.index.compressed import CompressedIndex
from app.index.exact import ExactIndex
from app.index.packed import Packing

# Codes from 17 rows on, asked however few rows there are, and made anew all the time.
TINY = Packing(bound=16, worth=math.inf, outlived=0.5)
CONTRACT = {
    **ENGINES,
    "compressed, at once": lambda: CompressedIndex(packing=TINY, start=lambda build: build()),
    "compressed, by a thread": lambda: CompressedIndex(packing=TINY),
}


@pytest.fixture(params=sorted(CONTRACT))
def engine(request):
    return CONTRACT[request.param]


@pytest.fixture
def index(engine):
    return engine()


@pytest.fixture
def gallery(unit):
    ids = [f"tpl_{n}" for n in range(500)]
    return ids, np.stack([unit(n) for n in range(500)])


def test_finds_nothing_when_it_is_empty(index, unit):
    assert index.search(unit(1), 5) == []
    assert len(index) == 0
    assert "tpl_1" not in index
    assert index.remove(["tpl_1"]) == 0
    index.add([], np.empty((0, 128), np.float32))
    assert len(index) == 0


@pytest.mark.parametrize("k", [1, 7, 500, 501])
def test_finds_what_a_matrix_product_finds(index, gallery, unit, k):
    ids, vectors = gallery
    index.add(ids, vectors)
    for seed in range(1000, 1020):
        hits = index.search(unit(seed), k)
        truth = dict(zip(ids, vectors.astype(np.float64) @ unit(seed), strict=True))
        closest = sorted(truth, key=truth.get, reverse=True)[:k]
        assert len({hit.template_id for hit in hits}) == len(hits) == len(closest)
        similarities = [hit.similarity for hit in hits]
        np.testing.assert_allclose(similarities, [truth[hit.template_id] for hit in hits], atol=2e-6)
        np.testing.assert_allclose(similarities, [truth[id_] for id_ in closest], atol=2e-6)
        # Further down the list, neighbours are closer to each other than float32 can tell.
        assert [hit.template_id for hit in hits[:7]] == closest[:7]


def test_a_vector_finds_itself_at_similarity_one_and_never_above(index, gallery):
    ids, vectors = gallery
    index.add(ids, vectors)
    for id_, vector in zip(ids, vectors, strict=True):
        (hit,) = index.search(vector, 1)
        assert hit.template_id == id_
        assert hit.similarity == pytest.approx(1, abs=1e-6)
        assert hit.similarity <= 1


def test_asks_for_none_gets_none(index, gallery, unit):
    index.add(*gallery)
    assert index.search(unit(1), 0) == []


def test_forgets_what_was_removed_and_nothing_else(index, gallery):
    ids, vectors = gallery
    index.add(ids, vectors)
    gone = ids[::3]
    assert index.remove([*gone, gone[0], "tpl_unknown"]) == len(gone)
    assert len(index) == len(ids) - len(gone)
    kept = [id_ for id_ in ids if id_ not in set(gone)]
    assert all(id_ in index for id_ in kept)
    assert not any(id_ in index for id_ in gone)
    for id_, vector in zip(ids, vectors, strict=True):
        assert (index.search(vector, 1)[0].template_id == id_) == (id_ not in set(gone))


def test_takes_a_removed_id_again_with_another_vector(index, unit):
    index.add(["a", "b"], np.stack([unit(1), unit(2)]))
    index.remove(["a"])
    index.add(["a"], unit(3)[None])
    assert len(index) == 2
    assert index.search(unit(3), 1)[0].template_id == "a"
    assert index.search(unit(1), 1)[0].similarity < 0.9


def test_loses_no_row_when_it_is_filled_anew_after_removals(engine, index, gallery, unit):
    # Where rows are numbered by their count, a new row takes the number of one that is still there.
    ids, vectors = gallery
    index.add(ids, vectors)
    index.remove(ids[:100])
    reloaded = engine()
    reloaded.add(*index.held())
    for filled in (reloaded, index):
        filled.add(["new_1", "new_2"], np.stack([unit(2001), unit(2002)]))
        filled.remove(["new_1", ids[250]])
        filled.add([ids[0], "new_3"], np.stack([vectors[0], unit(2003)]))
        assert len(filled) == 402
        for id_, vector in [*zip(ids[101:250], vectors[101:250], strict=True), (ids[0], vectors[0])]:
            assert filled.search(vector, 1)[0].template_id == id_
        for id_, seed in (("new_2", 2002), ("new_3", 2003)):
            assert filled.search(unit(seed), 1)[0].template_id == id_
        for gone in (unit(2001), vectors[250], vectors[1]):
            assert filled.search(gone, 1)[0].similarity < 0.9


@pytest.mark.parametrize("k", [0, 1, 9, 500, 501])
def test_finds_for_many_what_it_finds_for_each(index, gallery, unit, k):
    ids, vectors = gallery
    index.add(ids, vectors)
    probes = np.stack([unit(seed) for seed in range(3000, 3040)])
    answers = index.search_many(probes, k)
    assert len(answers) == 40
    for probe, hits in zip(probes, answers, strict=True):
        alone = index.search(probe, k)
        assert [hit.template_id for hit in hits[:7]] == [hit.template_id for hit in alone[:7]]
        np.testing.assert_allclose([h.similarity for h in hits], [h.similarity for h in alone], rtol=0, atol=1e-6)


def test_finds_nothing_for_many_when_it_is_empty(index, unit):
    assert index.search_many(np.stack([unit(1), unit(2)]), 5) == [[], []]
    assert index.search_many(np.empty((0, 128), np.float32), 5) == []
    with pytest.raises(ValueError, match="probes"):
        index.search_many(unit(1), 5)
    with pytest.raises(ValueError, match="unit length"):
        index.search_many(2 * unit(1)[None], 5)


def test_hands_out_copies_of_what_it_holds(index, gallery):
    assert index.held()[0] == []
    assert index.held()[1].shape == (0, 128)
    ids, vectors = gallery
    index.add(ids, vectors)
    index.remove(ids[:3])
    held_ids, held = index.held()
    assert sorted(held_ids) == sorted(ids[3:])
    right = dict(zip(ids, vectors, strict=True))
    np.testing.assert_array_equal(held, np.stack([right[id_] for id_ in held_ids]))
    held[:] = 0
    assert index.search(vectors[7], 1)[0].template_id == ids[7]


def test_gives_a_held_id_the_new_vector(index, unit):
    index.add(["a", "b"], np.stack([unit(1), unit(2)]))
    index.add(["c", "a", "a"], np.stack([unit(3), unit(4), unit(5)]))
    assert len(index) == 3
    assert index.search(unit(5), 1)[0].template_id == "a"
    for stale in (1, 4):
        assert index.search(unit(stale), 1)[0].similarity < 0.9


def test_does_not_change_when_the_callers_array_does(index, unit):
    given = np.stack([unit(1), unit(2)])
    index.add(["a", "b"], given)
    given[:] = unit(3)
    assert index.search(unit(1), 1)[0].template_id == "a"
    assert index.search(unit(3), 1)[0].similarity < 0.9


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 128), np.float32),
        np.full((1, 128), np.nan, np.float32),
        np.full((1, 128), np.inf, np.float32),
        np.full((1, 128), 1.0, np.float32),
        np.full((1, 64), 0.125, np.float32),
        np.full((2, 128), 128**-0.5, np.float32),
    ],
    ids=["zero", "nan", "infinite", "long", "narrow", "too many"],
)
def test_refuses_what_is_no_unit_vector_and_stays_as_it_was(index, unit, wrong):
    index.add(["a"], unit(1)[None])
    with pytest.raises(ValueError, match="vector"):
        index.add(["b"], wrong)
    with pytest.raises(ValueError, match="vector"):
        index.search(wrong[0] if wrong.shape[0] == 1 else wrong, 1)
    assert len(index) == 1
    assert index.search(unit(1), 1)[0].template_id == "a"


def test_answers_rightly_while_others_add_and_remove(index, gallery, unit):
    ids, vectors = gallery
    index.add(ids[:100], vectors[:100])
    failures, stop = [], threading.Event()

    def search() -> None:
        n = 0
        while not stop.is_set():
            n = (n + 1) % 100
            (hit,) = index.search(vectors[n], 1)
            if hit.template_id != ids[n] or abs(hit.similarity - 1) > 1e-5:
                failures.append((n, hit))

    def churn(part: slice) -> None:
        for _ in range(15):
            index.add(ids[part], vectors[part])
            index.remove(ids[part])

    searchers = [threading.Thread(target=search) for _ in range(2)]
    churners = [threading.Thread(target=churn, args=(slice(a, a + 200),)) for a in (100, 300)]
    for thread in searchers + churners:
        thread.start()
    for thread in churners:
        thread.join(30)
    stop.set()
    for thread in searchers:
        thread.join(30)
    assert failures == []
    assert len(index) == 100


POOL = np.random.default_rng(5).normal(size=(40, 128))
# Near twins and exact twins among them: ties must not confuse a search.
POOL[6] = POOL[5] + 0.01 * POOL[4]
POOL[8] = POOL[7]
POOL = (POOL / np.linalg.norm(POOL, axis=1, keepdims=True)).astype(np.float32)
NAMES = [f"t{n}" for n in range(40)]
SOME = st.lists(st.sampled_from(NAMES), unique=True, max_size=20)


class Machine(RuleBasedStateMachine):
    """Any order of additions, replacements, removals, searches and restarts against the oracle."""

    def __init__(self, engine):
        super().__init__()
        self.engine = engine
        self.index = engine()
        self.oracle = ExactIndex()

    @rule(ids=SOME, first=st.integers(0, 39))
    def add_or_replace(self, ids, first):
        places = (np.arange(len(ids)) + first) % len(POOL)
        for index in (self.index, self.oracle):
            index.add(ids, POOL[places])

    @rule(ids=SOME)
    def remove(self, ids):
        assert self.index.remove(ids) == self.oracle.remove(ids)

    @rule()
    def remove_nearly_all(self):
        ids = [id_ for id_ in NAMES[5:] if id_ in self.oracle]
        assert self.index.remove(ids) == self.oracle.remove(ids) == len(ids)

    @rule()
    def restart(self):
        held = self.index.held()
        self.index = self.engine()
        self.index.add(*held)

    @rule(probe=st.integers(0, 39), k=st.integers(0, 42))
    def search(self, probe, k):
        self.compare(self.index.search(POOL[probe], k), probe, k)

    @rule(probes=st.lists(st.integers(0, 39), max_size=5), k=st.integers(0, 42))
    def search_many(self, probes, k):
        answers = self.index.search_many(POOL[probes], k)
        assert len(answers) == len(probes)
        for hits, probe in zip(answers, probes, strict=True):
            self.compare(hits, probe, k)

    def compare(self, hits, probe, k):
        right = self.oracle.search(POOL[probe], len(self.oracle))
        truth = {hit.template_id: hit.similarity for hit in right}
        assert len({hit.template_id for hit in hits}) == len(hits) == min(k, len(truth))
        # Of equals any may come first; so compare what was found with the truth, and the values in order.
        similarities = [hit.similarity for hit in hits]
        np.testing.assert_allclose(similarities, [truth[h.template_id] for h in hits], rtol=0, atol=1e-6)
        np.testing.assert_allclose(similarities, [h.similarity for h in right[: len(hits)]], rtol=0, atol=1e-6)

    @invariant()
    def holds_the_same_ids(self):
        assert len(self.index) == len(self.oracle)
        assert all((id_ in self.index) == (id_ in self.oracle) for id_ in NAMES)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_keeps_the_contract_in_any_order_of_calls(name):
    run_state_machine_as_test(
        lambda: Machine(CONTRACT[name]), settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
