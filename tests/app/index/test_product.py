import numpy as np
import pytest

from app.index import product
from app.index.product import closest


@pytest.fixture
def chance():
    return np.random.default_rng(3)


@pytest.mark.parametrize("block", [1, 60, 5000, 2**22])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 7), (1000, 1), (1000, 8), (1003, 8), (1003, 1003)])
def test_finds_the_greatest_however_the_work_is_cut(chance, monkeypatch, block, n, k):
    monkeypatch.setattr(product, "BLOCK", block)
    matrix, probes = (chance.normal(size=(count, 16)).astype(np.float32) for count in (n, 5))
    similarities, places = closest(matrix, probes, k)
    assert similarities.shape == places.shape == (5, k)
    right = probes @ matrix.T
    np.testing.assert_allclose(similarities, -np.sort(-right, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(similarities, np.take_along_axis(right, places, 1), atol=1e-5)
    assert all(len(set(line)) == k for line in places.tolist())


def test_finds_as_many_as_were_asked_for_among_equals():
    matrix = np.ones((2000, 4), np.float32)
    similarities, places = closest(matrix, matrix[:2], 5)
    np.testing.assert_array_equal(similarities, 4)
    assert all(len(set(line)) == 5 for line in places.tolist())


def test_finds_the_greatest_that_stand_side_by_side_or_a_group_apart(chance):
    for start, step in ((0, 1), (17, 64), (1990, 1)):
        matrix = chance.uniform(0, 0.5, size=(2000, 4)).astype(np.float32)
        right = np.arange(start, 2000, step)[:5]
        matrix[right] += 10
        _, places = closest(matrix, np.ones((1, 4), np.float32), 5)
        assert sorted(places[0].tolist()) == right.tolist()
