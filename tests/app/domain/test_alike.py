import itertools

import numpy as np
import pytest

from app.domain import alike
from app.domain.alike import closest_between, furthest_within


@pytest.fixture(params=[(3, 5), (4, 4), (1024, 2048)], ids=str)
def blocks(request, monkeypatch):
    monkeypatch.setattr(alike, "ROWS", request.param[0])
    monkeypatch.setattr(alike, "COLUMNS", request.param[1])


def office(people, seed=0, spread=0.9):
    """Vectors and numbers of persons: 1 to 4 templates each, some persons close to the one before."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 128))
    centres[1::4] = centres[::4][: len(centres[1::4])] + 0.5 * rng.normal(size=(len(centres[1::4]), 128))
    person = np.repeat(np.arange(people), rng.integers(1, 5, people))
    vectors = centres[person] + spread * rng.normal(size=(len(person), 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), person


def slowly(vectors, person):
    """(similarity, row, row) of every pair of rows, in double precision, one after the other."""
    exact = vectors.astype(np.float64)
    return [(float(exact[i] @ exact[j]), i, j) for i, j in itertools.combinations(range(len(person)), 2)]


def best_between(vectors, person, at_least):
    best = {}
    for similarity, i, j in slowly(vectors, person):
        pair = (person[i], person[j])
        if pair[0] != pair[1] and similarity >= at_least and similarity > best.get(pair, (-2,))[0]:
            best[pair] = (similarity, i, j)
    return sorted(best.values(), key=lambda found: -found[0])


def as_list(pairs):
    return list(zip(pairs.similarity.tolist(), pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_finds_the_pairs_of_persons_that_a_slow_loop_finds(blocks, seed):
    vectors, person = office(40, seed)
    found = closest_between(vectors, person, 0.3, 1000)
    expected = best_between(vectors, person, 0.3)
    assert len(expected) > 5
    assert found.complete
    assert [pair[1:] for pair in as_list(found)] == [pair[1:] for pair in expected]
    np.testing.assert_allclose(found.similarity, [pair[0] for pair in expected], atol=1e-12)


@pytest.mark.parametrize("most", [1, 3, 10])
def test_keeps_the_most_similar_when_there_is_no_room_for_all(blocks, most):
    vectors, person = office(60, 7)
    found = closest_between(vectors, person, 0.0, most)
    expected = best_between(vectors, person, 0.0)
    assert len(expected) > 10 * most
    assert not found.complete
    assert [pair[1:] for pair in as_list(found)] == [pair[1:] for pair in expected[:most]]


def test_the_bound_itself_counts_in_double_precision(blocks):
    vectors, person = office(30, 3)
    for similarity, i, j in best_between(vectors, person, 0.3):
        # Far less than single precision tells apart.
        at, above = (as_list(closest_between(vectors, person, similarity + d, 1000)) for d in (-1e-12, 1e-12))
        assert (i, j) in [pair[1:] for pair in at]
        assert (i, j) not in [pair[1:] for pair in above]


def test_the_same_face_everywhere_takes_neither_all_memory_nor_all_pairs(blocks):
    vectors = np.repeat(office(1)[0][:1], 300, axis=0)
    found = closest_between(vectors, np.arange(300), 0.4, 7)
    assert len(found.similarity) == 7
    assert not found.complete
    np.testing.assert_allclose(found.similarity, 1.0, atol=1e-6)
    one = closest_between(vectors, np.zeros(300, np.intp), 0.4, 7)
    assert (len(one.similarity), one.complete) == (0, True)


def test_nobody_and_one_person_make_no_pair():
    nothing = np.empty((0, 128), np.float32)
    assert as_list(closest_between(nothing, np.empty(0, np.intp), 0.4, 5)) == []
    assert as_list(furthest_within(nothing, np.empty(0, np.intp), 0.4)) == []
    vectors, _ = office(1)
    assert as_list(closest_between(vectors[:1], np.zeros(1, np.intp), 0.4, 5)) == []
    assert as_list(furthest_within(vectors[:1], np.zeros(1, np.intp), 0.4)) == []


@pytest.mark.parametrize("seed", range(4))
def test_finds_the_persons_whose_own_templates_are_least_alike(blocks, seed):
    vectors, person = office(40, seed, spread=1.2)
    least = {}
    for similarity, i, j in slowly(vectors, person):
        if person[i] == person[j] and similarity < least.get(person[i], (0.4,))[0]:
            least[person[i]] = (similarity, i, j)
    found = as_list(furthest_within(vectors, person, 0.4))
    assert len(found) > 3
    assert [pair[1:] for pair in found] == [pair[1:] for pair in sorted(least.values())]
    np.testing.assert_allclose([pair[0] for pair in found], [pair[0] for pair in sorted(least.values())], atol=1e-12)
