from app.cli.style_progress import Pace


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def paced(steps: list[int], *taken: tuple[int, float]) -> Pace:
    """taken: (scale, seconds) of each step, with two evaluations."""
    clock = Clock()
    pace = Pace(steps, clock)
    for done, (scale, seconds) in enumerate(taken, 1):
        clock.now_s += seconds
        pace.note(scale, done, 2 * done)
    return pace


def test_nothing_is_said_of_the_end_before_the_first_step():
    assert Pace([3]).left_s() is None


def test_the_first_step_is_slow_for_another_reason_and_counts_only_alone():
    assert paced([10], (1, 5.0)).left_s() == 45.0
    assert paced([10], (1, 5.0), (1, 1.0)).left_s() == 8.0
    assert paced([10], (1, 5.0), (1, 1.0)).evaluations_per_s == 2.0


def test_steps_of_finer_scales_are_taken_to_be_slower():
    assert paced([3, 2], (1, 1.0), (1, 1.0)).left_s() == 1.0 + 2 * 4.0


def test_how_much_slower_is_learned_from_the_scales_before():
    taken = ((1, 1.0), (1, 1.0), (2, 9.0), (2, 3.0))
    assert paced([2, 3, 2], *taken).left_s() == 3.0 + 2 * 9.0


def test_nothing_is_left_after_the_last_step():
    assert paced([2], (1, 1.0), (1, 1.0)).left_s() == 0.0


def test_what_an_earlier_render_evaluated_is_not_this_ones_speed():
    clock = Clock()
    pace = Pace([10], clock)
    pace.starts_from(500)
    clock.now_s += 2.0
    pace.note(1, 6, 501)
    assert pace.evaluations_per_s == 0.5
