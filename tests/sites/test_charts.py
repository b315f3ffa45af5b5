"""What charts are drawn of."""

import pytest

from app.sites.charts import MAX_BARS, bars, chart, scale_step


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["1", "0"]),
        (1, ["1", "0"]),
        (3, ["3", "2", "1", "0"]),
        (9, ["10", "5", "0"]),
        (2570, ["3k", "2k", "1k", "0"]),
    ],
)
def test_scale_is_round_and_little_higher_than_the_highest_value(most: int, labels: list[str]) -> None:
    rows = chart(["a", "b"], [most, 0], [0, 0]).rows
    assert [row.label for row in sorted(rows, key=lambda row: row.at)] == labels
    assert scale_step(most) * 4 >= most


def test_each_value_has_a_bar_at_its_place() -> None:
    assert bars([2, 0, 1], 2, 300, 100) == "M37.5 100V0h25V100ZM237.5 100V50h25V100Z"


def test_many_values_are_one_outline() -> None:
    path = bars([1] * (MAX_BARS + 1), 1, 63, 10)
    assert path.startswith("M0 10V0H1V0H2")
    assert path.endswith("H63V10Z")


def test_labels_are_at_most_six() -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 32)]
    columns = chart(days, [1] * 31, [1] * 31, lambda at: at[8:]).columns
    assert [column.label for column in columns] == ["01", "07", "13", "19", "25", "31"]
    assert all(0 < column.at < 100 for column in columns)
