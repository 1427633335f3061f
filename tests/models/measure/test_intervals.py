import numpy as np
import pytest

from models.measure.intervals import middle_95, redraw, share_over_people, wilson


@pytest.mark.parametrize(
    # From Newcombe 1998, table I, method 3 (score interval), to four digits.
    ("hits", "trials", "interval"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_is_as_published(hits: int, trials: int, interval: tuple[float, float]) -> None:
    assert wilson(hits, trials) == pytest.approx(interval, abs=5e-5)


def test_wilson_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(0, 0)


def test_as_many_people_are_drawn_as_there_are() -> None:
    drawn = redraw(7, np.random.default_rng(0), 50)
    assert drawn.shape == (50, 7)
    assert (drawn.sum(axis=1) == 7).all()


def test_the_bootstrap_covers_the_known_spread_of_a_share() -> None:
    generator = np.random.default_rng(3)
    hits = (generator.random(2000) < 0.2).astype(float)
    low, high = share_over_people(hits, np.ones(2000), generator)
    share = hits.mean()
    half = 1.96 * (share * (1 - share) / 2000) ** 0.5
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.003)


def test_photos_of_one_person_do_not_make_a_rate_surer() -> None:
    hits = np.array([1.0, 0.0] * 20)
    once = share_over_people(hits, np.ones(40), np.random.default_rng(0))
    often = share_over_people(100 * hits, np.full(40, 100.0), np.random.default_rng(0))
    assert often == pytest.approx(once)


def test_no_error_among_n_people_shows_only_three_in_n() -> None:
    assert share_over_people(np.zeros(60), np.ones(60), np.random.default_rng(0)) == (0.0, 0.05)
    assert share_over_people(np.ones(60), np.ones(60), np.random.default_rng(0)) == (0.95, 1.0)


def test_the_same_seed_draws_the_same_people() -> None:
    first, second = (redraw(9, np.random.default_rng([4, 2]), 5) for _ in range(2))
    assert (first == second).all()


def test_an_interval_of_nothing_but_missing_numbers_says_nothing() -> None:
    assert middle_95([float("nan")] * 3) == (0.0, 1.0)
