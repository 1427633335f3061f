from collections.abc import Callable

import numpy as np
import pytest

from models.measure import gallery
from models.measure.gallery import best_of_templates, open_set
from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


def parts(sample: Sample, people: int, templates: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo numbers: the first templates of the first people, their other photos, all photos of the rest."""
    order, start = sample.by_person()
    enrolled, probes = [], []
    for person in range(people):
        photos = order[start[person] : start[person + 1]]
        enrolled.extend(photos[:templates])
        probes.extend(photos[templates:])
    return np.array(enrolled), np.array(probes), order[start[people] :]


def similarity(sample: Sample, i: int, j: int) -> float:
    if not (sample.found[i] and sample.found[j]):
        return -np.inf
    return float(np.dot(sample.vectors[i].astype(np.float64), sample.vectors[j].astype(np.float64)))


def best_by_person(sample: Sample, photo: int, enrolled: np.ndarray) -> dict[int, float]:
    best: dict[int, float] = {}
    for template in enrolled:
        person = int(sample.person[template])
        best[person] = max(best.get(person, -np.inf), similarity(sample, photo, template))
    return best


@pytest.mark.parametrize("templates", [1, 3])
def test_answers_as_a_slow_loop_does(make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch, templates: int) -> None:
    monkeypatch.setattr(gallery, "BLOCK_ROWS", 5)
    sample = make_sample(20, seed=1, noise=1.0)
    enrolled, probes, strangers = parts(sample, 12, templates)
    answers = open_set(sample, enrolled, probes, strangers)
    missed = false = first = 0
    for photo in probes:
        best = best_by_person(sample, photo, enrolled)
        own = best.pop(int(sample.person[photo]))
        first += own > max(best.values())
        missed += not (own > max(best.values()) and own >= 0.5)
    for photo in strangers:
        false += max(best_by_person(sample, photo, enrolled).values()) >= 0.5
    assert answers.people == 12
    assert answers.missed(0.5).sum() == missed
    assert answers.fnir(0.5) == missed / len(probes)
    assert answers.rank_one() == first / len(probes)
    assert answers.fpir(0.5) == false / len(strangers)
    assert 0 < missed < len(probes)
    assert false > 0


def test_names_the_person_a_stranger_was_taken_for(make_sample: MakeSample) -> None:
    sample = make_sample(20, seed=2, missing=0)
    enrolled, probes, strangers = parts(sample, 12)
    answers = open_set(sample, enrolled, probes, strangers)
    for number, photo in enumerate(strangers):
        best = best_by_person(sample, photo, enrolled)
        assert answers.lookalike[number] == max(best, key=lambda p: best[p])


def test_the_best_of_a_persons_templates_counts() -> None:
    probes = np.eye(3, dtype=np.float32)
    templates = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0]], np.float32)
    scores, people = best_of_templates(probes, templates, np.array([7, 4, 7]))
    assert people.tolist() == [4, 7]
    assert scores.tolist() == pytest.approx(np.array([[0, 1], [1, 0.8], [0, 0]]))


def test_a_probe_without_a_face_is_missed_and_a_stranger_without_one_is_no_false_match() -> None:
    one, other = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    sample = Sample.of([one, None, one, other, None], ["a", "a", "a", "b", "c"])
    answers = open_set(sample, np.array([0]), np.array([1, 2]), np.array([3, 4]))
    assert answers.missed(-1.0).tolist() == [True, False]
    assert answers.fpir(-1.0) == 0.5


def test_a_person_enrolled_without_a_face_is_always_missed() -> None:
    one, other = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    sample = Sample.of([None, one, other], ["a", "a", "b"])
    answers = open_set(sample, np.array([0, 2]), np.array([1]), np.empty(0, np.int64))
    assert answers.people == 2
    assert answers.fnir(-1.0) == 1.0
    empty = open_set(sample, np.array([0]), np.array([1]), np.array([2]))
    assert empty.fnir(-1.0) == 1.0
    assert empty.fpir(-1.0) == 0.0


def test_somebody_else_just_as_close_is_a_miss() -> None:
    one = np.array([1, 0], np.float32)
    sample = Sample.of([one, one, one], ["a", "b", "a"])
    assert open_set(sample, np.array([0, 1]), np.array([2]), np.empty(0, np.int64)).fnir(0.5) == 1.0


def test_the_threshold_set_on_strangers_keeps_the_rate_on_them(make_sample: MakeSample) -> None:
    sample = make_sample(60, seed=3)
    answers = open_set(sample, *parts(sample, 20))
    for target in (0.0, 0.01, 0.1, 0.5):
        assert answers.fpir(answers.threshold_for(target)) <= target


def test_intervals_surround_their_rates_and_repeat_with_their_seed(make_sample: MakeSample) -> None:
    sample = make_sample(60, seed=4, noise=1.0)
    answers = open_set(sample, *parts(sample, 30))
    for interval, rate in (
        (lambda g: answers.fnir_interval(0.6, g), answers.fnir(0.6)),
        (lambda g: answers.fpir_interval(0.6, g), answers.fpir(0.6)),
        (lambda g: answers.rank_one_interval(g), answers.rank_one()),
    ):
        low, high = interval(np.random.default_rng(1))
        assert low < rate < high
        assert (low, high) == interval(np.random.default_rng(1))


def test_refuses_a_stranger_who_is_enrolled_and_a_probe_who_is_not(make_sample: MakeSample) -> None:
    sample = make_sample(10)
    enrolled, probes, strangers = parts(sample, 5)
    with pytest.raises(ValueError, match="no stranger"):
        open_set(sample, enrolled, probes, probes)
    with pytest.raises(ValueError, match="every probe"):
        open_set(sample, enrolled, strangers, strangers)
