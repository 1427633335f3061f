import numpy as np

from models.training.labels import mislabelled


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_photo_unlike_its_person_is_found_and_nobody_else():
    chance = np.random.default_rng(0)
    axes = chance.normal(size=(3, 128))
    person = np.repeat([0, 1, 2], [6, 5, 1])
    rows = axes[person] + chance.normal(0, 0.3, (12, 128))
    rows[2] = axes[1]
    assert np.flatnonzero(mislabelled(unit(rows), person)).tolist() == [2]


def test_is_what_a_loop_over_photos_finds():
    chance = np.random.default_rng(1)
    person = chance.integers(0, 6, 40)
    rows = unit(chance.normal(size=(40, 128)) + 0.6 * chance.normal(size=(6, 128))[person])
    wanted = []
    for i in range(40):
        others = [rows[j].astype(np.float64) for j in range(40) if j != i and person[j] == person[i]]
        mean = np.sum(others, axis=0) if others else None
        wanted.append(mean is not None and float(rows[i] @ mean / np.linalg.norm(mean)) < 0.41)
    assert mislabelled(rows, person, 0.41).tolist() == wanted
    assert any(wanted)
    assert not all(wanted)


def test_of_two_photos_that_differ_neither_is_trusted_and_a_single_one_is_kept():
    rows = np.eye(3, 128, dtype=np.float32)
    assert mislabelled(rows, np.array([0, 0, 1])).tolist() == [True, True, False]
    assert mislabelled(np.zeros((0, 128), np.float32), np.zeros(0, np.int64)).tolist() == []
