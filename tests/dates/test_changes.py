"""A new due date for a task that may have one: what it keeps, and moves by an amount."""

from datetime import UTC, date, datetime

import pytest

from tests.dates.clocks import WEDNESDAY, clock
from todo_mcp.dates.phrases import Due, NoDueDate, NoDueTime, NotUnderstood, read_due_change
from todo_mcp.dates.zones import Clock, show

DAY = date(2026, 11, 27)
NINE = clock("2026-11-27T09:00").now


def in_berlin(local: str) -> datetime:
    return clock(local).now


@pytest.mark.parametrize(
    ("current", "phrase", "due", "kept"),
    [
        (None, "tomorrow", "2026-11-26", None),
        (None, "9am", "2026-11-26T09:00+01:00", None),
        (DAY, "tomorrow", "2026-11-26", None),
        (DAY, "9am", "2026-11-27T09:00+01:00", "day"),
        (DAY, "midnight", "2026-11-28T00:00+01:00", "day"),
        (NINE, "monday", "2026-11-30T09:00+01:00", "time"),
        (NINE, "next week", "2026-11-30T09:00+01:00", "time"),
        (NINE, "2026-12-24", "2026-12-24T09:00+01:00", "time"),
        (NINE, "3:15pm", "2026-11-27T15:15+01:00", "day"),
        (NINE, "evening", "2026-11-27T18:00+01:00", "day"),
        (NINE, "monday 8am", "2026-11-30T08:00+01:00", None),
        (NINE, "tonight", "2026-11-25T20:00+01:00", None),
        (NINE, "in 2 hours", "2026-11-25T12:00+01:00", None),
        (NINE, "2026-12-24T10:00Z", "2026-12-24T11:00+01:00", None),
        # The kept time would be past.
        (NINE, "today", "2026-11-25", None),
        (NINE, "yesterday", "2026-11-24", None),
        (in_berlin("2026-11-27T10:00"), "today", "2026-11-25T10:00+01:00", "time"),
        # The kept day may be past: then the task is overdue.
        (date(2026, 11, 20), "9am", "2026-11-20T09:00+01:00", "day"),
        (datetime(2026, 11, 27, 8, 0, tzinfo=UTC), "monday", "2026-11-30T09:00+01:00", "time"),
        # The local time stays when the clocks change.
        (NINE, "2027-06-01", "2027-06-01T09:00+02:00", "time"),
        (in_berlin("2027-03-01T02:30"), "2027-03-28", "2027-03-28T03:30+02:00", "time"),
    ],
)
def test_a_day_keeps_the_time_and_a_time_keeps_the_day(
    current: Due | None, phrase: str, due: str, kept: str | None
) -> None:
    change = read_due_change(phrase, WEDNESDAY, current)
    assert (show(change.due), change.kept) == (due, kept)


@pytest.mark.parametrize(
    ("current", "phrase", "due"),
    [
        (DAY, "+3 days", "2026-11-30"),
        (DAY, "+ 1 day", "2026-11-28"),
        (DAY, "+a week", "2026-12-04"),
        (DAY, "-two weeks.", "2026-11-13"),
        (DAY, "\u22121 day", "2026-11-26"),
        (DAY, "+1 year", "2027-11-27"),
        (date(2027, 1, 31), "+1 month", "2027-02-28"),
        (date(2027, 3, 31), "-1 month", "2027-02-28"),
        (date(2028, 2, 29), "+1 year", "2029-02-28"),
        (NINE, "+3 days", "2026-11-30T09:00+01:00"),
        (NINE, "-1 week", "2026-11-20T09:00+01:00"),
        (NINE, "+2 hours", "2026-11-27T11:00+01:00"),
        (NINE, "-30 minutes", "2026-11-27T08:30+01:00"),
        (NINE, "+90 mins", "2026-11-27T10:30+01:00"),
        # Over a change of the clocks, days keep the local time and hours are exact.
        (in_berlin("2027-03-27T09:00"), "+1 day", "2027-03-28T09:00+02:00"),
        (in_berlin("2027-03-27T09:00"), "+24 hours", "2027-03-28T10:00+02:00"),
        (in_berlin("2027-03-27T02:30"), "+1 day", "2027-03-28T03:30+02:00"),
        (in_berlin("2026-10-24T02:30"), "+1 day", "2026-10-25T02:30+02:00"),
        (in_berlin("2026-10-25T02:30"), "+60 minutes", "2026-10-25T02:30+01:00"),
    ],
)
def test_a_move_starts_at_the_due_date_of_the_task(current: Due, phrase: str, due: str) -> None:
    change = read_due_change(phrase, WEDNESDAY, current)
    assert (show(change.due), change.kept) == (due, None)


@pytest.mark.parametrize("phrase", ["+3 days", "-1 week", "+1 month", "+2 hours", "-30 minutes"])
def test_a_task_without_a_due_date_cannot_be_moved(phrase: str) -> None:
    with pytest.raises(NoDueDate, match="no due date"):
        read_due_change(phrase, WEDNESDAY, None)


@pytest.mark.parametrize("phrase", ["+2 hours", "-30 minutes"])
def test_a_day_cannot_be_moved_by_hours(phrase: str) -> None:
    with pytest.raises(NoDueTime, match="without a time"):
        read_due_change(phrase, WEDNESDAY, DAY)


@pytest.mark.parametrize(
    "phrase",
    [
        "+3d",
        "+3",
        "+0 days",
        "+1.5 days",
        "3 days later",
        "+3 days at 9am",
        "+1 week 2 days",
        "++1 day",
        "+9999 years",
        "-127 years",
    ],
)
def test_other_moves_are_refused(phrase: str) -> None:
    with pytest.raises(NotUnderstood):
        read_due_change(phrase, WEDNESDAY, NINE)


@pytest.mark.parametrize(
    ("now", "phrase"), [("2026-11-27T15:05", "3:15"), ("2026-11-25T10:00", "12am"), ("2026-11-25T10:00", "soon")]
)
def test_a_time_that_is_refused_with_a_day_is_refused_for_the_kept_day(now: str, phrase: str) -> None:
    at_that_moment: Clock = clock(now)
    with pytest.raises(NotUnderstood):
        read_due_change(phrase, at_that_moment, NINE)
