import numpy as np
import pytest

from models.measure.calibrate import calibrate
from models.measure.lfw import Pair, Protocol, person_of, photo
from models.measure.lfw_figures import Figure, Lfw, lfw_figures, served_figures
from models.measure.operating_points import Calibration
from models.measure.readings import FOUND, NO_FACE, REFUSED, PhotoReading, Readings

PHOTOS_OF = {**{f"Many_{i}": 10 for i in range(6)}, **{f"Two_{i}": 2 for i in range(60)}}
PHOTOS_OF |= {f"One_{i:02d}": 1 for i in range(80)}
INSIDE = frozenset(n for i, n in enumerate(sorted(PHOTOS_OF)) if i % 2)


def listed_pairs(fold: int) -> tuple[Pair, ...]:
    names = [f"Two_{i}" for i in range(fold * 20, fold * 20 + 20)]
    genuine = [Pair(photo(n, 1), photo(n, 2), same=True) for n in names]
    return (*genuine, *(Pair(photo(n, 1), photo(f"One_{i:02d}", 1), same=False) for i, n in enumerate(names)))


@pytest.fixture
def lfw() -> Lfw:
    protocol = Protocol(PHOTOS_OF, INSIDE, tuple(listed_pairs(fold) for fold in range(3)))
    generator = np.random.default_rng(1)
    centres = {name: generator.normal(size=128) for name in sorted(PHOTOS_OF)}
    readings = Readings("m-1")
    for path in protocol.photos():
        vector = centres[person_of(path)] + 0.3 * generator.normal(size=128)
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        readings.put(path, PhotoReading(FOUND, 0, vector))
    readings.put(photo("Two_5", 2), PhotoReading(NO_FACE, 0))
    readings.put(photo("Many_2", 7), PhotoReading(REFUSED, 0))
    return Lfw.of(protocol, readings)


@pytest.fixture
def calibration(lfw: Lfw) -> Calibration:
    inside = lfw.sample.part(lfw.numbers(lfw.protocol.photos(INSIDE)))
    return calibrate(inside, model_id="m-1", name="inside", seed=0, sizes=(5, 20), splits=10)


def by_name(figures: list[Figure]) -> dict[tuple[str, str], Figure]:
    return {(f.section, f.measure): f for f in figures}


def test_every_photo_is_accounted_for(lfw: Lfw) -> None:
    figures = by_name(lfw_figures(lfw))
    assert figures["photos", "without a face"].count == 1
    assert figures["photos", "refused"].count == 1
    assert figures["photos", "refused"].of == len(lfw.sample) == 260


def test_a_missing_face_is_one_miss_everywhere_and_nothing_is_left_out(lfw: Lfw) -> None:
    figures = by_name(lfw_figures(lfw))
    accuracy = figures["View 2", "accuracy"]
    assert (accuracy.count, accuracy.of) == (119, 120)
    tmr = figures["View 2", "TMR at FMR 0.01"]
    assert (tmr.count, tmr.of) == (59, 60)
    assert "0 of 60 impostor pairs" in tmr.note
    rank_one = figures["open set", "rank-1"]
    assert (rank_one.count, rank_one.of) == (53, 54)
    fnir = figures["open set", "FNIR at FPIR 0.1"]
    assert (fnir.count, fnir.of) == (1, 54)
    assert "8 of 80 strangers" in fnir.note


def test_people_weigh_the_same_in_all_pairs(lfw: Lfw) -> None:
    tmr = by_name(lfw_figures(lfw))["all pairs, people alike", "TMR at FMR 0.001"]
    # One person of two photos loses the only pair, one of ten photos loses 9 of 45.
    assert tmr.value == pytest.approx(1 - (1 + 9 / 45) / 66)
    assert tmr.interval is not None
    assert tmr.interval[0] < tmr.value < tmr.interval[1]


def test_served_rates_are_taken_on_people_who_set_no_threshold(lfw: Lfw, calibration: Calibration) -> None:
    points = [*calibration.verification, *calibration.identification]
    asked: list[int] = []

    def serves(people: int) -> object:
        asked.append(people)
        return calibration.identification[0]

    figures = served_figures(lfw, points, serves)  # type: ignore[arg-type]
    sections = {f.section for f in figures}
    assert len(sections) == 3
    assert all("outside" in section for section in sections)
    assert asked == [3, 3]
    everybody = by_name(figures)["served, people outside View 1's test part, all strangers", "FPIR"]
    assert everybody.of == sum(PHOTOS_OF[n] == 1 for n in PHOTOS_OF if n not in INSIDE)
    shipped = [f for f in figures if f.section.startswith("served points")]
    assert len(shipped) == len(points)
    for figure in shipped:
        assert figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]


def test_the_figures_repeat(lfw: Lfw, calibration: Calibration) -> None:
    assert lfw_figures(lfw) == lfw_figures(lfw)
    points = calibration.identification
    assert served_figures(lfw, points, lambda _: points[0]) == served_figures(lfw, points, lambda _: points[0])


def test_a_photo_that_was_not_read_is_no_silent_gap(lfw: Lfw) -> None:
    with pytest.raises(KeyError):
        Lfw.of(lfw.protocol, Readings("m-1"))
