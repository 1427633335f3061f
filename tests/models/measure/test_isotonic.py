import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.measure.isotonic import pool_adjacent_violators

NUMBERS = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 5)), min_size=1, max_size=12)


def pooled_slowly(value: list[float], weight: list[float]) -> list[float]:
    """The closed form: the least over ends of the greatest over beginnings of the mean between them."""
    count = len(value)

    def mean(begin: int, end: int) -> float:
        inside = range(begin, end + 1)
        return sum(value[i] * weight[i] for i in inside) / sum(weight[i] for i in inside)

    return [min(max(mean(begin, end) for begin in range(i + 1)) for end in range(i, count)) for i in range(count)]


@given(NUMBERS)
def test_pooling_equals_the_slow_closed_form(rows: list[tuple[float, float]]) -> None:
    value, weight = (np.array(column) for column in zip(*rows, strict=True))
    assert pool_adjacent_violators(value, weight) == pytest.approx(pooled_slowly(list(value), list(weight)), abs=1e-9)


def test_a_rising_sequence_stays_as_it_is() -> None:
    rising = np.array([-1.0, 0.0, 0.5, 2.0])
    assert (pool_adjacent_violators(rising, np.ones(4)) == rising).all()


def test_what_falls_becomes_its_weighted_mean() -> None:
    assert pool_adjacent_violators(np.array([3.0, 0.0]), np.array([1.0, 2.0])) == pytest.approx([1.0, 1.0])


def test_no_other_rising_sequence_is_nearer() -> None:
    generator = np.random.default_rng(0)
    value, weight = generator.normal(size=8), generator.random(8) + 0.1
    fitted = pool_adjacent_violators(value, weight)
    distance = weight @ (fitted - value) ** 2
    for _ in range(300):
        other = np.sort(fitted + 0.3 * generator.normal(size=8))
        assert distance <= weight @ (other - value) ** 2 + 1e-12


def test_refuses_a_weight_of_nothing() -> None:
    with pytest.raises(ValueError, match="above zero"):
        pool_adjacent_violators(np.zeros(2), np.array([1.0, 0.0]))
