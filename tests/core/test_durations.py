"""Durations as people write them."""

from datetime import timedelta

import pytest

from todo_mcp.core.durations import EXAMPLES, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("1m", timedelta(minutes=1)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("4w", timedelta(weeks=4)),
        ("99999w", timedelta(weeks=99_999)),
    ],
)
def test_a_number_with_a_unit_is_a_duration(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    ["", "d", "30", "0d", "01d", "-1d", "+1d", "1.5h", "1 h", " 1h", "1h\n", "1H", "1y", "1h30m", "²d", "100000d"],
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=EXAMPLES):
        parse_duration(text)
