"""Times in words, and what becomes of a time that has passed today."""

import pytest

from tests.dates.clocks import AFTERNOON, WEDNESDAY, clock
from todo_mcp.dates.phrases import NotUnderstood, read_due
from todo_mcp.dates.zones import show


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("9am", "26T09:00"),
        ("9 AM", "26T09:00"),
        ("9 a.m.", "26T09:00"),
        ("9:30 p.m. today", "25T21:30"),
        ("nine am", "26T09:00"),
        ("10:00", "25T10:00"),  # not past
        ("9:59", "26T09:59"),
        ("15:00:00", "25T15:00"),
        ("noon", "25T12:00"),
        ("12pm", "25T12:00"),
        ("midnight", "26T00:00"),
        ("12am", "26T00:00"),
        ("00:00", "26T00:00"),
        ("12:30am", "26T00:30"),
        ("morning", "26T09:00"),
        ("afternoon", "25T14:00"),
        ("evening", "25T18:00"),
        ("tonight", "25T20:00"),
        ("tonight at 9pm", "25T21:00"),
        ("11:30pm tonight", "25T23:30"),
        ("tonight at midnight", "26T00:00"),
        ("this afternoon", "25T14:00"),
        ("this evening at 7pm", "25T19:00"),
        ("tomorrow morning at 8:15am", "26T08:15"),
        ("tomorrow, 9am", "26T09:00"),
        ("tomorrow by 5pm", "26T17:00"),
        ("by 5pm on friday", "27T17:00"),
        ("noon on friday", "27T12:00"),
        ("friday midnight", "28T00:00"),
        ("friday 00:00", "27T00:00"),
        ("evening on friday", "27T18:00"),
        ("3pm friday afternoon", "27T15:00"),
        ("Friday, 27 November 2026, 09:00", "27T09:00"),
        ("2026-11-27 9am", "27T09:00"),
        ("end of the month at 5pm", "30T17:00"),
        ("this weekend at 10am", "28T10:00"),
        ("next week at noon", "30T12:00"),
        ("last friday of november at 3:15pm", "27T15:15"),
        ("in 2 days at 9am", "27T09:00"),
        ("in 90 minutes", "25T11:30"),
        ("in an hour", "25T11:00"),
        ("in twelve hours", "25T22:00"),
        ("in 30 mins", "25T10:30"),
        ("wednesday midnight", "26T00:00"),
    ],
)
def test_words_for_a_time(phrase: str, expected: str) -> None:
    assert show(read_due(phrase, WEDNESDAY)) == f"2026-11-{expected}+01:00"


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        # A weekday moves on by a week. A named day stays, and is overdue.
        ("wednesday 9am", "2026-12-02T09:00"),
        ("this wednesday at noon", "2026-12-02T12:00"),
        ("wednesday morning", "2026-12-02T09:00"),
        ("wednesday 9:30", "2026-12-02T09:30"),
        ("wednesday at 00:00", "2026-12-02T00:00"),
        ("today at 9am", "2026-11-25T09:00"),
        ("today at 03:15", "2026-11-25T03:15"),
        ("today at 3:15pm", "2026-11-25T15:15"),
        ("today at noon", "2026-11-25T12:00"),
        ("2026-11-25 9am", "2026-11-25T09:00"),
        ("25 november 2026 at 9am", "2026-11-25T09:00"),
        ("2026-11-25T09:00", "2026-11-25T09:00"),
        ("yesterday at 9am", "2026-11-24T09:00"),
        ("9:30", "2026-11-26T09:30"),
        # Neither yesterday evening nor this morning: midnight is the end of the day.
        ("today at midnight", "2026-11-26T00:00"),
        # Refused, because the person may mean another moment.
        ("the 25th at 9am", None),
        ("nov 25 at 9am", None),
        ("wednesday 25 november at 9am", None),
        ("wednesday this week at 9am", None),
        ("last wednesday of november at 9am", None),
        ("this morning", None),
        ("this morning at 8am", None),
        ("today morning", None),
        ("morning today", None),
        ("this afternoon", None),
        ("today at 3:15", None),
        ("today at 9:30", None),
        ("wednesday at 3:15", None),
        ("3:15", None),
    ],
)
def test_a_time_of_today_that_is_past(phrase: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(NotUnderstood, match=r"is over|has passed today"):
            read_due(phrase, AFTERNOON)
    else:
        assert show(read_due(phrase, AFTERNOON)) == f"{expected}+01:00"


def test_an_hour_that_has_passed_in_both_halves_of_the_day_is_not_refused() -> None:
    assert show(read_due("3:15", clock("2026-11-25T16:00"))) == "2026-11-26T03:15+01:00"


@pytest.mark.parametrize(("now", "refused"), [("19:59", False), ("20:00", False), ("20:01", True), ("21:30", True)])
def test_tonight_is_refused_when_it_is_over(now: str, refused: bool) -> None:
    evening = clock(f"2026-11-25T{now}")
    if refused:
        with pytest.raises(NotUnderstood, match="is over"):
            read_due("tonight", evening)
    else:
        assert show(read_due("tonight", evening)) == "2026-11-25T20:00+01:00"


@pytest.mark.parametrize(
    ("phrase", "reason"),
    [
        ("tonight at 9am", "not in the evening"),
        ("tomorrow morning at 3pm", "not in the morning"),
        ("tomorrow afternoon at 7:00", "not in the afternoon"),
        ("this evening at 8:30", "not in the evening"),
        ("morning tomorrow evening", "not in the evening"),
        ("tomorrow evening morning", "names the evening and the morning"),
        ("tomorrow at 12am", "00:00 or midnight"),
        ("12:00am friday", "00:00 or midnight"),
        ("at 5", "5pm"),
        ("tomorrow at 5", "5pm"),
        ("friday at 24:00", "midnight"),
        ("9:60", "no time 9:60"),
        ("13pm", "no time 13pm"),
        ("0am", "no time 0am"),
        ("9:75am", "no time 9:75am"),
        ("15h", "21:30"),
        ("0900", "21:30"),
        ("9.30", "9:30"),
        ("half 8", "19:30"),
        ("8 o'clock", "19:30"),
        ("tomorrow night", "tomorrow evening"),
        ("9 in the morning", "tomorrow at 9am"),
        ("between 3pm and 5pm", "more than one"),
        ("3pm to 5pm", "no single day"),
        ("3pm est", "offset"),
        ("15:00 europe/berlin", "offset"),
        ("15:00Z", "offset"),
        ("2026-11-27T25:00", "no time 25:00"),
        ("2026-11-27T09:00+14:01", "no offset"),
        ("2026-11-27T09:00-09:60", "no offset"),
        ("9am 5pm", "write"),
        ("in an hour at 9am", "write"),
        ("in 999999 hours and 1 minute", "write"),
    ],
)
def test_a_time_that_is_not_in_the_list_is_refused(phrase: str, reason: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        read_due(phrase, WEDNESDAY)
    assert reason in str(refusal.value)
