from collections.abc import Callable

from typer.testing import Result

Onelook = Callable[..., Result]


def test_tells_the_volume_and_its_cost(onelook: Onelook) -> None:
    result = onelook("conv-shapes", "64x64x64x3", "--filters", 16, "--width", 4, "--stride", 2)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "64x64x64x3 -> 31x31x31x16",
        "3,088 parameters: 16 filters of 4x4x4x3 weights, and a bias each",
        f"{31**3 * 16 * 4**3 * 3:,} multiplications",
    ]


def test_a_filter_that_does_not_fit_says_what_would(onelook: Onelook) -> None:
    result = onelook("conv-shapes", "14x1", "--filters", 1, "--width", 15)
    assert result.exit_code == 2
    assert "take a width of at most 14, or a padding of at least 1" in result.output


def test_what_is_no_volume_is_told(onelook: Onelook) -> None:
    result = onelook("conv-shapes", "big", "--filters", 1, "--width", 1)
    assert result.exit_code == 2
    assert "such as 64x64x3" in result.output


def test_one_filter_is_told_as_one(onelook: Onelook) -> None:
    result = onelook("conv-shapes", "14x1", "--filters", 1, "--width", 5)
    assert result.output.splitlines() == ["14x1 -> 10x1", "6 parameters: 5x1 weights and a bias", "50 multiplications"]
