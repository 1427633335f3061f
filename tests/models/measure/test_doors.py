import numpy as np
import pytest

from models.measure.doors import (
    CLEAN,
    MEAN,
    NOT_FOUND,
    SERVED,
    before_others,
    door_photos,
    doors_measured,
    key,
    section_of,
    similarities,
)
from models.measure.intervals import redraw
from models.measure.lfw import Protocol, photo
from models.measure.readings import FOUND, NO_FACE, PhotoReading, Readings
from models.measure.redrawn import Verification

PEOPLE = 40


@pytest.fixture
def protocol() -> Protocol:
    photos_of = {f"Some_{i:02d}": 2 + i % 3 for i in range(PEOPLE)} | {"Alone": 1}
    return Protocol(photos_of, frozenset(), ())


@pytest.fixture
def readings(protocol: Protocol) -> Readings:
    """Probes lie near their templates, in the dark further away; the dark hides the face of every eighth."""
    generator, held = np.random.default_rng(1), Readings("m-1")
    for i, name in enumerate(sorted(set(protocol.photos_of) - {"Alone"})):
        centre = generator.normal(size=16)
        last = protocol.photos_of[name]
        for path, condition, noise in (
            (photo(name, 1), CLEAN, 0.3),
            (photo(name, last), CLEAN, 0.3),
            (photo(name, last), "dark", 1.0),
            (photo(name, last), "far", 0.8),
        ):
            vector = centre + noise * generator.normal(size=16)
            unit = (vector / np.linalg.norm(vector)).astype(np.float32)
            hidden = condition == "dark" and i % 8 == 0
            held.put(key(condition, path), PhotoReading(NO_FACE if hidden else FOUND, 0, None if hidden else unit))
    return held


def test_the_first_photo_enrols_and_the_last_one_probes(protocol: Protocol) -> None:
    photos = door_photos(protocol)
    assert len(photos.probes) == PEOPLE
    assert photos.enrolled[1] == "Some_01/Some_01_0001.jpg"
    assert photos.probes[1] == "Some_01/Some_01_0003.jpg"


def test_fewer_people_are_spread_evenly_over_the_names(protocol: Protocol) -> None:
    chosen = [path.split("/")[0] for path in door_photos(protocol, 5).probes]
    assert chosen == ["Some_00", "Some_10", "Some_20", "Some_29", "Some_39"]
    assert len(door_photos(protocol, 1000).probes) == PEOPLE
    with pytest.raises(ValueError, match="two people"):
        door_photos(Protocol({"Alone": 1, "Two": 2}, frozenset(), ()))


def slow_tmr(score: np.ndarray, fmr: float, counts: np.ndarray) -> float:
    """Tries every impostor's score as the last that must be refused."""
    people = range(len(score))
    impostors = [(score[i, j], counts[i] * counts[j]) for i in people for j in people if i != j]
    total = sum(weight for _, weight in impostors)
    refused = -np.inf
    for threshold in sorted({s for s, _ in impostors if np.isfinite(s)}, reverse=True):
        if sum(w for s, w in impostors if s >= threshold) > fmr * total + 1e-9 * total:
            refused = threshold
            break
    return sum(counts[i] for i in people if score[i, i] > refused) / counts.sum()


@pytest.mark.parametrize("fmr", [0.1, 0.01])
def test_tmr_under_a_condition_is_that_of_a_slow_loop(protocol: Protocol, readings: Readings, fmr: float) -> None:
    from models.measure.all_pairs import Genuine

    photos = door_photos(protocol, 20)
    score = similarities(readings, photos, "dark")
    drawn = redraw(20, np.random.default_rng(3), 5)
    pairs = Verification(before_others(score, 1.0), Genuine(np.diag(score).copy(), np.arange(20), 20))
    slow = [slow_tmr(score, fmr, counts) for counts in drawn]
    assert pairs.tmr([fmr], drawn)[:, 0] == pytest.approx(slow)


def test_only_the_closest_impostors_are_kept_and_all_of_them_when_there_are_few() -> None:
    score = np.random.default_rng(2).normal(size=(120, 120))
    some = before_others(score, 0.4)
    assert not some.complete
    assert len(some.kept.score) == np.ceil(0.4 * 120 * 119)
    away = score[~np.eye(120, dtype=bool)]
    assert some.kept.score[-1] == np.sort(away)[-len(some.kept.score)]
    assert before_others(score[:50, :50], 1e-3).complete


def test_every_condition_has_its_rows_and_a_hidden_face_is_a_miss(protocol: Protocol, readings: Readings) -> None:
    photos = door_photos(protocol)
    measured = doors_measured(readings, photos, ["dark", "far"], served=0.5)
    held = {one.key: one.figure for one in measured}
    assert held[NOT_FOUND, "dark"].count == 5
    assert held[NOT_FOUND, CLEAN].count == 0
    for section in (section_of(1e-3), section_of(1e-4), SERVED):
        assert held[section, CLEAN].value >= held[section, "dark"].value
        assert held[section, "dark"].count <= PEOPLE - 5
    misses = [1 - held[section_of(1e-3), one].value for one in ("dark", "far")]
    assert held[MEAN, "at FMR 0.001"].value == pytest.approx(np.mean(misses))
    score = similarities(readings, photos, "far")
    assert held[SERVED, "far"].count == sum(score[i, i] >= 0.5 for i in range(PEOPLE))
    assert (MEAN, "at the threshold served") in held


def test_without_a_served_threshold_nothing_is_said_of_it(protocol: Protocol, readings: Readings) -> None:
    measured = doors_measured(readings, door_photos(protocol), ["dark"], served=None)
    assert not [one for one in measured if "served" in one.figure.section + one.figure.measure]
