import math
import threading

import faiss
import numpy as np
import pytest

from app.index import compressed
from app.index.compressed import CompressedIndex
from app.index.exact import ExactIndex
from app.index.flat import FlatIndex
from app.index.packed import PackedCodes, Packing

SMALL = Packing(bound=100, worth=math.inf)


def clusters(persons, templates=4, within=0.7, seed=6):
    """float32 (persons * templates, 128): templates of one person are `within` similar to each other."""
    chance = np.random.default_rng(seed)
    centres = np.repeat(chance.normal(size=(persons, 128)), templates, axis=0)
    rows = centres + math.sqrt((1 - within) / within) * chance.normal(size=centres.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def near(rows, similarity, chance):
    aside = chance.normal(size=rows.shape)
    aside -= np.sum(aside * rows, axis=1, keepdims=True) * rows
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return (similarity * rows + math.sqrt(1 - similarity**2) * aside).astype(np.float32)


def names(n):
    return [f"t{i}" for i in range(n)]


def at_once(packing=SMALL, report=lambda text: None):
    return CompressedIndex(packing=packing, report=report, start=lambda build: build())


def assert_codes_are_those_of_the_rows(index):
    codes, packer = index._codes, index._codes._packer
    blocks = codes._blocks()
    held = [packer.unpack_1(blocks[i // 32 : i // 32 + 1], i % 32) for i in range(len(codes))]
    np.testing.assert_array_equal(held, codes.faiss.pq.compute_codes(index._rows.matrix()))


def test_is_flat_up_to_its_bound_and_again_when_it_has_shrunk_below_half():
    index, rows = at_once(), clusters(50)
    index.add(names(100), rows[:100])
    assert not index.packed
    index.add(["t100"], rows[100:101])
    assert index.packed
    index.remove(names(51))
    assert len(index) == 50
    assert index.packed
    index.remove(["t60"])
    assert not index.packed
    index.add(names(101), rows[:101])
    assert index.packed


def test_finds_near_the_threshold_what_comparing_all_finds():
    # As it is shipped; 15,000 persons with four templates each.
    rows, chance = clusters(15_000), np.random.default_rng(8)
    index, flat = at_once(Packing()), FlatIndex()
    for engine in (index, flat):
        engine.add(names(len(rows)), rows)
    assert index.packed
    chosen = chance.choice(len(rows), 60)
    for similarity in (0.4, 0.45, 0.5, 0.7):
        for probe in near(rows[chosen], similarity, chance):
            found, right = index.search(probe, 8), flat.search(probe, 8)
            assert found[0].template_id == right[0].template_id
            np.testing.assert_allclose([h.similarity for h in found], [h.similarity for h in right], rtol=0, atol=1e-6)


def test_asks_the_codes_where_that_is_quicker_and_the_rows_where_it_is_not(monkeypatch):
    rows = clusters(500)
    index = at_once(Packing(bound=100, k_factor=10, least=10, share=0, worth=0.1))
    index.add(names(2000), rows)
    asked = []
    flat_search = index._rows.search
    monkeypatch.setattr(index._rows, "search", lambda probe, k: asked.append(k) or flat_search(probe, k))
    for k in (1, 20, 21, 2000):
        assert len(index.search(rows[7], k)) == k
    assert asked == [21, 2000]


def test_codes_stay_those_of_the_rows_whatever_is_added_replaced_and_removed():
    index, oracle = at_once(Packing(bound=16, worth=math.inf, outlived=1e9)), ExactIndex()
    chance, rows = np.random.default_rng(9), clusters(100)
    for engine in (index, oracle):
        engine.add(names(60), rows[:60])
    for _ in range(60):
        ids = [f"t{i}" for i in chance.choice(90, chance.integers(1, 12), replace=False)]
        vectors = rows[chance.choice(400, len(ids))]
        if chance.random() < 0.5 or len(oracle) < 30:
            index.add(ids, vectors)
            oracle.add(ids, vectors)
        else:
            assert index.remove(ids) == oracle.remove(ids)
        assert index.packed
        assert_codes_are_those_of_the_rows(index)
        assert sorted(index.held()[0]) == sorted(oracle.held()[0])


def test_takes_in_what_changes_while_codes_are_made(monkeypatch):
    monkeypatch.setattr(compressed, "ENCODED_A_TURN", 16)
    builds, rows = [], clusters(100)
    index = CompressedIndex(packing=SMALL, start=builds.append)
    index.add(names(200), rows[:200])
    assert not index.packed
    assert not index.settle(0)
    turns = []

    def meanwhile(seconds):
        """Instead of the pause after each 16 rows: searches, and changes on either side of what is encoded."""
        n = len(turns)
        turns.append(n)
        if n < 6:
            index.remove([f"t{n}", f"t{150 + n}"])
            index.add([f"t{10 + n}", f"t{190 - n}", f"t{300 + n}"], rows[[300 + n, 310 + n, 320 + n]])
        assert index.search(rows[20], 1)[0].template_id == "t20"

    monkeypatch.setattr(compressed.time, "sleep", meanwhile)
    (build,) = builds
    build()
    assert len(turns) > 10
    assert index.packed
    assert index.settle(0)
    assert_codes_are_those_of_the_rows(index)
    assert len(index) == 200 - 12 + 6
    for n in range(6):
        assert index.search(rows[300 + n], 1)[0].template_id == f"t{10 + n}"
        assert index.search(rows[n], 1)[0].similarity < 0.99


def test_searches_are_answered_while_a_thread_makes_codes():
    rows, asked = clusters(5_000), threading.Event()

    def in_a_thread(build):
        threading.Thread(target=lambda: asked.wait(30) and build(), daemon=True).start()

    index = CompressedIndex(packing=SMALL, start=in_a_thread)
    index.add(names(len(rows)), rows)
    answered = 0
    while not index.settle(0):
        assert index.search(rows[answered % 5_000], 1)[0].template_id == f"t{answered % 5_000}"
        answered += 1
        asked.set()
    assert index.packed
    assert answered


def test_gives_up_codes_that_are_no_longer_worth_it_while_they_are_made(monkeypatch):
    builds = []
    index = CompressedIndex(packing=SMALL, start=builds.append)
    index.add(names(200), clusters(50))
    monkeypatch.setattr(compressed, "ENCODED_A_TURN", 16)
    monkeypatch.setattr(compressed.time, "sleep", lambda seconds: index.remove(names(190)))
    builds[0]()
    assert not index.packed
    assert index.settle(0)
    assert len(index.search(clusters(50)[199], 20)) == 10


def test_compares_all_and_says_so_when_codes_miss_what_is_closest():
    reports, rows = [], clusters(500)
    # One proposal a hit: the closest is surely not among them for some of the probes.
    index = at_once(Packing(bound=100, k_factor=1, least=1, share=0), reports.append)
    index.add(names(2000), rows)
    assert not index.packed
    (report,) = reports
    assert "missed" in report
    assert "every vector is compared" in report
    assert index.search(rows[5], 1)[0].template_id == "t5"
    index.add(["another"], rows[:1])
    assert len(reports) == 1, "it is not tried again at each addition"
    index.add(names(2000), rows)
    index.add(names(2000), rows)
    assert len(reports) == 2, "but after many"


@pytest.mark.parametrize("fault", ["thread", "memory"])
def test_compares_all_and_says_so_when_codes_cannot_be_made(monkeypatch, fault):
    def no_thread(build):
        raise RuntimeError("can't start new thread")

    def no_memory(sample):
        raise MemoryError

    reports = []
    start = no_thread if fault == "thread" else lambda build: build()
    if fault == "memory":
        monkeypatch.setattr(compressed, "PackedCodes", no_memory)
    index, rows = CompressedIndex(packing=SMALL, report=reports.append, start=start), clusters(50)
    index.add(names(200), rows)
    assert not index.packed
    assert index.settle(0)
    assert len(reports) == 1
    assert index.search(rows[199], 1)[0].template_id == "t199"


def test_learns_anew_once_it_has_been_written_over(monkeypatch):
    made = []

    class Counted(PackedCodes):
        def __init__(self, sample):
            made.append(len(sample))
            super().__init__(sample)

    monkeypatch.setattr(compressed, "PackedCodes", Counted)
    index, rows = at_once(), clusters(100)
    index.add(names(150), rows[:150])
    for _ in range(2):
        index.add(names(140), rows[200:340])
    assert made == [150]
    index.add(names(20), rows[:20])
    assert made == [150, 150]
    index.add([f"u{i}" for i in range(400)], rows)
    assert made == [150, 150, 550]
    assert_codes_are_those_of_the_rows(index)


def test_leaves_neither_vector_nor_code_of_a_removed_row_in_memory():
    index, rows = at_once(), clusters(50)
    index.add(names(200), rows)
    matrix, blocks = index._rows.matrix(), index._codes._blocks()
    index.remove([f"t{i}" for i in range(64, 200)])
    np.testing.assert_array_equal(matrix[64:], 0)
    np.testing.assert_array_equal(blocks[2:], 0)
    assert_codes_are_those_of_the_rows(index)


def test_finds_a_row_whose_code_was_not_written():
    index, rows = at_once(), clusters(50)
    index.add(names(150), rows[:150])
    index._codes.truncate(149)
    assert index.search(rows[149], 1)[0].template_id == "t149"


def test_uses_one_thread_of_faiss_for_a_search_in_whatever_thread():
    index, rows, threads = at_once(), clusters(50), []
    index.add(names(200), rows)

    def search():
        faiss.omp_set_num_threads(4)
        index.search(rows[0], 3)
        threads.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join(10)
    assert threads == [1]


def test_a_batch_lets_others_in_after_each_turn(monkeypatch):
    class Counted:
        turns = 0

        def __enter__(self):
            self.turns += 1

        def __exit__(self, *error):
            pass

    index, rows = at_once(), clusters(100)
    index.add(names(400), rows)
    monkeypatch.setattr(index, "_lock", Counted())
    monkeypatch.setattr("app.index.rows.PAIRS", 50 * 400)
    answers = index.search_many(rows, 1)
    assert [hits[0].template_id for hits in answers] == names(400)
    assert index._lock.turns == 8
