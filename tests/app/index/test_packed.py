import numpy as np
import pytest

from app.index.packed import PackedCodes, Packing


@pytest.fixture
def vectors():
    rows = np.random.default_rng(4).normal(size=(300, 128))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def codes(vectors):
    return PackedCodes(vectors)


def read(codes):
    """uint8 (n, 32): the codes as they lie in memory."""
    blocks, packer = codes._blocks(), codes._packer
    one = [packer.unpack_1(blocks[place // 32 : place // 32 + 1], place % 32) for place in range(len(codes))]
    return np.array(one, np.uint8).reshape(len(codes), packer.code_size)


def codes_of(codes, vectors):
    return codes.faiss.pq.compute_codes(vectors)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100, 299, 300])
def test_what_follows_a_cut_is_written_as_if_nothing_had_been_there(codes, vectors, n):
    codes.append(vectors)
    codes.truncate(n)
    assert len(codes) == n
    codes.append(vectors[:70])
    np.testing.assert_array_equal(read(codes), codes_of(codes, np.vstack((vectors[:n], vectors[:70]))))
    _, places = codes.faiss.search(vectors[:3], 5)
    assert ((places >= 0) & (places < n + 70)).all()


def test_cutting_leaves_nothing_in_memory(codes, vectors):
    codes.append(vectors)
    memory = codes._blocks()
    assert memory[9].any()
    codes.truncate(40)
    np.testing.assert_array_equal(read(codes), codes_of(codes, vectors[:40]))
    np.testing.assert_array_equal(memory[2:], 0)
    codes.truncate(32)
    np.testing.assert_array_equal(memory[1:], 0)
    assert memory[0].any()
    codes.truncate(0)
    np.testing.assert_array_equal(memory, 0)


def test_rewrites_codes_where_they_lie_and_no_others(codes, vectors):
    codes.append(vectors)
    codes.rewrite([], vectors[:0])
    codes.rewrite([3, 299, 64], vectors[[10, 11, 12]])
    right = vectors.copy()
    right[[3, 299, 64]] = vectors[[10, 11, 12]]
    np.testing.assert_array_equal(read(codes), codes_of(codes, right))


@pytest.mark.parametrize(
    ("k", "rows", "proposed"),
    [(1, 100, 100), (1, 60_000, 4_000), (8, 1_000_000, 12_500), (90, 1_000_000, 18_000), (8, 10_000_000, 125_000)],
)
def test_at_least_two_hundred_rows_are_proposed_for_each_hit(k, rows, proposed):
    assert Packing().proposed(k, rows) == proposed
    assert proposed >= min(rows, 200 * k)


def test_a_bound_below_what_codes_learn_from_is_refused():
    with pytest.raises(ValueError, match="16 rows"):
        Packing(bound=15)
