import numpy as np
import pytest

from models.measure.lfw_figures import Figure
from models.measure.side_by_side import (
    HEADER,
    Column,
    Measured,
    as_markdown,
    change,
    replicated,
    sections,
    used_columns,
)


def column(title: str, *measured: Measured) -> Column:
    return Column(title, f"{title}-1", "float32", measured)


def test_the_change_of_two_models_is_paired_by_replicate() -> None:
    before = replicated(Figure("open set", "FNIR", 0.2), np.linspace(0.1, 0.3, 101), 100)
    after = replicated(Figure("open set", "FNIR", 0.15), np.linspace(0.1, 0.3, 101) - 0.05, 100)
    changed = change(before, after)
    assert changed.difference == pytest.approx(-0.05)
    # Each wanders by 0.2; their difference does not wander at all.
    assert changed.interval == pytest.approx((-0.05, -0.05))


def test_where_nothing_was_missed_the_rule_of_three_speaks() -> None:
    never = replicated(Figure("open set", "FNIR", 0.0), np.zeros(50), 60)
    always = replicated(Figure("all pairs", "TMR", 1.0), np.ones(50), 2)
    assert never.figure.interval == pytest.approx((0.0, 0.05))
    assert always.figure.interval == (0.0, 1.0)


def test_without_replicates_a_change_has_no_interval() -> None:
    first, second = (Measured(Figure("View 2", "accuracy", value)) for value in (0.99, 0.995))
    assert change(first, second).interval is None


def test_a_table_has_a_row_for_each_measure_and_model_and_the_change_from_the_first() -> None:
    before = column("sface", replicated(Figure("open set", "FNIR", 0.2, 20, 100), np.array([0.1, 0.3]), 100))
    after = column("ours", replicated(Figure("open set", "FNIR", 0.1, 10, 100), np.array([0.05, 0.15]), 100))
    first, second = sections([before, after])["open set"]
    assert len(first) == len(second) == len(HEADER)
    assert first[:2] == ["FNIR", "sface"]
    assert first[5:7] == ["", ""]
    assert second[1:3] == ["ours", "10.00%"]
    assert second[4:6] == ["10 of 100", "-10.00 (-50%)"]
    assert second[6].startswith("-14.75")


def test_what_one_model_alone_was_asked_stands_alone() -> None:
    one = column("sface", Measured(Figure("served", "miss", 0.05)))
    other = column("ours", Measured(Figure("open set", "FNIR", 0.1)))
    tables = sections([one, other])
    assert [row[1] for row in tables["served"]] == ["sface"]
    assert tables["open set"][0][5] == ""


def test_a_value_with_a_unit_is_no_percentage() -> None:
    slow = column("sface", Measured(Figure("speed", "batch 1", 60.0), unit="faces/s"))
    fast = column("ours", Measured(Figure("speed", "batch 1", 120.0), unit="faces/s"))
    rows = sections([slow, fast])["speed"]
    assert [row[2] for row in rows] == ["60 faces/s", "120 faces/s"]
    assert rows[1][5] == "+100%"


def test_markdown_leaves_out_columns_that_hold_nothing() -> None:
    text = as_markdown([column("sface", Measured(Figure("photos", "refused", 0.0, 0, 10)))])
    assert text.splitlines()[0] == "### Photos"
    assert text.splitlines()[2] == "| measure | model | rate | count |"
    assert "| refused | sface | 0.00% | 0 of 10 |" in text
    assert used_columns([["a", "", "b"] + [""] * 5]) == [0, 2]
