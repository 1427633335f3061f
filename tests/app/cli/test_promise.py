import pytest


@pytest.fixture
def promised(onelook):
    """Asks for a promise of so many wrong opens a year, at so many attempts a day, for so many people."""

    def ask(wrong, attempts, people, *more):
        words = ("--wrong-opens-a-year", wrong, "--attempts-a-day", attempts, "--people", people)
        return onelook("promise", *words, *more)

    return ask


def test_says_the_threshold_its_support_and_how_many_wrong_opens_to_expect(promised):
    result = promised(365, 10, 100)
    assert result.exit_code == 0, result.stderr
    threshold, rate, opens, sample = result.stdout.splitlines()
    assert threshold.startswith("threshold 0.3")
    assert "measured); kept up to " in threshold
    assert rate.startswith("FPIR wanted 0.1, found 0.0")
    assert opens.startswith("wrong opens a year ")
    assert "rightful people missed" in opens
    assert "peopleDevTest" in sample


def test_more_people_need_a_higher_threshold(promised):
    few, many = (float(promised(365, 10, people).stdout.split()[1]) for people in (20, 900))
    assert few < many


def test_what_the_sample_does_not_support_is_refused_with_the_least(promised):
    result = promised(1, 20, 500)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "cannot be promised for 500 people: the least that can be is" in result.stderr
    least = float(result.stderr.partition("the least that can be is ")[2].split(".")[0].split(";")[0])
    assert promised(least, 20, 500).exit_code == 0
    assert promised(0.9 * least, 20, 500).exit_code == 1


def test_a_gallery_beyond_the_measured_ones_is_refused_unless_a_bound_will_do(promised):
    assert "no gallery so large was measured" in promised(2000, 10, 5000).stderr
    accepted = promised(2000, 10, 1500, "--accept-extrapolated")
    assert accepted.exit_code == 0
    assert "extrapolated" in accepted.stdout


@pytest.mark.parametrize("numbers", [(0, 1, 10), (1, -1, 10), (1, 1, 0)])
def test_a_promise_of_nothing_is_a_mistake_of_usage(promised, numbers):
    assert promised(*numbers).exit_code == 2
