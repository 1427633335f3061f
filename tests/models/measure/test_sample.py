import numpy as np
import pytest

from models.measure.sample import NO_FACE, Sample


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


def test_numbers_people_by_label_and_keeps_the_order_of_photos() -> None:
    sample = Sample.of([unit(1, 0), unit(0, 1), unit(1, 1)], ["b", "a", "b"])
    assert sample.person.tolist() == [1, 0, 1]
    assert sample.photos_each().tolist() == [1, 2]


def test_a_photo_without_a_face_stays_in_the_sample() -> None:
    sample = Sample.of([unit(1, 0), None, None], ["a", "a", "b"])
    assert len(sample) == 3
    assert sample.persons == 2
    assert sample.photos_each().tolist() == [2, 1]


def test_the_similarity_to_a_missing_face_is_below_every_threshold() -> None:
    sample = Sample.of([unit(1, 0), unit(1, 1), None], ["a", "a", "b"])
    scores = sample.similarities(np.array([0, 0, 2]), np.array([1, 2, 2]))
    assert scores[0] == pytest.approx(0.5**0.5)
    assert scores[1:].tolist() == [NO_FACE, NO_FACE]


def test_a_part_numbers_its_people_afresh() -> None:
    sample = Sample.of([unit(1, 0), unit(0, 1), None], ["a", "b", "c"])
    part = sample.part(np.array([2, 1]))
    assert part.persons == 2
    assert part.person.tolist() == [1, 0]
    assert part.found.tolist() == [False, True]


def test_sorts_photos_by_person() -> None:
    sample = Sample.of([unit(1, 0)] * 5, ["b", "a", "c", "a", "b"])
    order, start = sample.by_person()
    assert order.tolist() == [1, 3, 0, 4, 2]
    assert start.tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize(
    ("embeddings", "labels", "complaint"),
    [
        ([unit(1, 0)], ["a", "b"], "one of each"),
        ([None, None], ["a", "b"], "has a face"),
        ([np.array([3, 4], np.float32)], ["a"], "unit length"),
    ],
)
def test_refuses_what_is_no_sample(embeddings: list, labels: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sample.of(embeddings, labels)


def test_shows_no_vector() -> None:
    assert "0." not in repr(Sample.of([unit(1, 2)], ["a"]))
