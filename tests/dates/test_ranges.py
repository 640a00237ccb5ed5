"""Days in filters."""

import pytest

from tests.dates.clocks import AFTERNOON, WEDNESDAY, clock
from todo_mcp.dates.phrases import NotUnderstood, read_range


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        # The second end is read from the first.
        ("monday..friday", "2026-11-30..2026-12-04"),
        ("friday..monday", "2026-11-27..2026-11-30"),
        ("friday..friday", "2026-11-27..2026-11-27"),
        ("27 november..the 3rd", "2026-11-27..2026-12-03"),
        ("30 december..2 january", "2026-12-30..2027-01-02"),
        ("2026-10-15..end of the month", "2026-10-15..2026-10-31"),
        ("next month..end of the month", "2026-12-01..2026-12-31"),
        ("monday..end of the week", "2026-11-30..2026-12-06"),
        # But words that count from now do so at both ends.
        ("2026-11-01..today", "2026-11-01..2026-11-25"),
        ("2026-11-01..in 2 weeks", "2026-11-01..2026-12-09"),
        ("monday..next friday", "2026-11-30..2026-12-04"),
        # Several days at an end count in full.
        ("last week..today", "2026-11-16..2026-11-25"),
        ("today..next week", "2026-11-25..2026-12-06"),
        ("this week..", "2026-11-23.."),
        ("..last month", "..2026-10-31"),
        ("next year", "2027-01-01..2027-12-31"),
        ("last weekend", "2026-11-21..2026-11-22"),
        ("the last thirty days", None),
        ("the last 30 days", "2026-10-27..2026-11-25"),
        ("last seven days", "2026-11-19..2026-11-25"),
        ("next 1 day", "2026-11-25..2026-11-25"),
        ("last friday", "2026-11-20..2026-11-20"),
        ("last monday", None),  # this week's or last week's
        # A moment or a part of a day counts as its day, even when it is over.
        ("2026-11-25T23:30Z", "2026-11-26..2026-11-26"),
        ("this morning", "2026-11-25..2026-11-25"),
        ("tonight", "2026-11-25..2026-11-25"),
        ("Today .. Friday.", "2026-11-25..2026-11-27"),
        # Refused.
        ("", None),
        ("..", None),
        ("...", None),
        ("today...", None),
        ("a..b", None),
        ("monday..today", None),
        ("today..friday..sunday", None),
        ("by friday", None),  # Friday, or until Friday
        ("5pm", "2026-11-25..2026-11-25"),
        ("friday 9am", "2026-11-27..2026-11-27"),
        ("in 2 hours", "2026-11-25..2026-11-25"),
        ("+3 days", None),
        ("next weekend", None),
        ("last 2 weeks", None),
        ("last 0 days", None),
        ("last 999999 days", None),
        ("0001-01-01..9999-12-31", None),
        ("from monday to friday", None),
        ("overdue..today", None),
    ],
)
def test_words_for_the_days_of_a_filter(phrase: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(NotUnderstood):
            read_range(phrase, AFTERNOON)
    else:
        found = read_range(phrase, AFTERNOON)
        expected_ends = expected.split("..")
        assert [str(end or "") for end in found] == expected_ends


@pytest.mark.parametrize(
    ("now", "phrase", "expected"),
    [
        ("2026-11-29", "this weekend", "2026-11-28..2026-11-29"),
        ("2026-11-29", "last weekend", "2026-11-21..2026-11-22"),
        ("2026-11-29", "this week", "2026-11-23..2026-11-29"),
        ("2026-11-29", "next week", "2026-11-30..2026-12-06"),
        ("2026-11-30", "this week", "2026-11-30..2026-12-06"),
        ("2026-11-30", "tomorrow..end of the month", "2026-12-01..2026-12-31"),
        ("2026-12-31", "next month", "2027-01-01..2027-01-31"),
        ("2027-01-31", "last month", "2026-12-01..2026-12-31"),
        ("2027-01-31", "next month", "2027-02-01..2027-02-28"),
        ("2028-02-29", "last year", "2027-01-01..2027-12-31"),
        ("2028-02-29", "this month", "2028-02-01..2028-02-29"),
    ],
)
def test_whole_weeks_months_and_years_at_their_ends(now: str, phrase: str, expected: str) -> None:
    assert "..".join(map(str, read_range(phrase, clock(f"{now}T10:00")))) == expected


def test_a_refusal_names_the_end_that_is_wrong() -> None:
    with pytest.raises(NotUnderstood, match=r"^'soon': .*leave it out"):
        read_range("today..soon", WEDNESDAY)
