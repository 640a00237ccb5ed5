"""Days in words: each kind of phrase, on each day of the week and at the ends of months and years."""

import pytest

from tests.dates.clocks import WEDNESDAY, WEEK, clock
from todo_mcp.dates.phrases import NotUnderstood, read_due
from todo_mcp.dates.zones import show


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        # From Monday 23 to Sunday 29 November 2026. A dash: refused.
        ("friday", "27 27 27 27 27 04 04"),
        ("this friday", "27 27 27 27 27 04 04"),
        ("on fri", "27 27 27 27 27 04 04"),
        ("next friday", "04 04 04 04 04 04 04"),
        ("friday next week", "04 04 04 04 04 04 04"),
        ("friday this week", "27 27 27 27 27 - -"),
        ("tuesday this week", "24 24 - - - - -"),
        ("next monday", "30 30 30 30 30 30 30"),
        ("monday", "23 30 30 30 30 30 30"),
        ("next sunday", "06 06 06 06 06 06 06"),
        ("sunday", "29 29 29 29 29 29 29"),
        ("this weekend", "28 28 28 28 28 28 29"),
        ("next week", "30 30 30 30 30 30 30"),
        ("end of the week", "29 29 29 29 29 29 29"),
        ("end of next week", "06 06 06 06 06 06 06"),
        ("tomorrow", "24 25 26 27 28 29 30"),
        ("day after tomorrow", "25 26 27 28 29 30 01"),
        ("yesterday", "22 23 24 25 26 27 28"),
        ("in a week", "30 01 02 03 04 05 06"),
        ("the 25th", "25 25 25 25 25 25 25"),
        ("last friday of the month", "27 27 27 27 27 - -"),
        ("end of the month", "30 30 30 30 30 30 30"),
    ],
)
def test_the_same_words_on_each_day_of_a_week(phrase: str, expected: str) -> None:
    understood = []
    for day in WEEK:
        try:
            understood.append(show(read_due(phrase, clock(f"2026-11-{day}T10:00")))[-2:])
        except NotUnderstood:
            understood.append("-")
    if phrase == "the 25th":
        assert [show(read_due(phrase, clock(f"2026-11-{day}T10:00")))[5:7] for day in WEEK] == ["11"] * 3 + ["12"] * 4
    assert " ".join(understood) == expected


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("tues", "2026-12-01"),
        ("thurs", "2026-11-26"),
        ("27 november", "2026-11-27"),
        ("Nov 27th", "2026-11-27"),
        ("november the 27th", "2026-11-27"),
        ("27th of nov, 2027", "2027-11-27"),
        ("The Third of December", "2026-12-03"),
        ("december third", "2026-12-03"),
        ("sept 3", "2027-09-03"),
        ("may 5", "2027-05-05"),
        ("24 november", "2027-11-24"),
        ("24 november 2026", "2026-11-24"),
        ("friday 27 november", "2026-11-27"),
        ("Friday, 27 November 2026", "2026-11-27"),
        ("fri the 27th", "2026-11-27"),
        ("friday 2026-11-27", "2026-11-27"),
        ("the 3rd", "2026-12-03"),
        ("the 27th of this month", "2026-11-27"),
        ("the 3rd of next month", "2026-12-03"),
        ("first friday of december", "2026-12-04"),
        ("the 2nd tuesday in january 2027", "2027-01-12"),
        ("first friday of november", "2027-11-05"),
        ("fifth monday of november", "2026-11-30"),
        ("last day of february", "2027-02-28"),
        ("first monday of next month", "2026-12-07"),
        ("end of december", "2026-12-31"),
        ("end of next month", "2026-12-31"),
        ("in twelve months", "2027-11-25"),
        ("in a year", "2027-11-25"),
        ("in 36525 days", "2126-11-26"),
        ("by tomorrow", "2026-11-26"),
        ("  DAY  AFTER   tomorrow. ", "2026-11-27"),
    ],
)
def test_words_for_a_day(phrase: str, expected: str) -> None:
    assert show(read_due(phrase, WEDNESDAY)) == expected


@pytest.mark.parametrize(
    ("now", "phrase", "expected"),
    [
        ("2026-12-31", "tomorrow", "2027-01-01"),
        ("2026-12-31", "next month", "2027-01-01"),
        ("2026-12-31", "next week", "2027-01-04"),
        ("2026-12-31", "end of the week", "2027-01-03"),
        ("2026-12-31", "end of the year", "2026-12-31"),
        ("2026-12-31", "1 january", "2027-01-01"),
        ("2026-12-31", "31 december", "2026-12-31"),
        ("2027-01-31", "in a month", "2027-02-28"),
        ("2028-01-31", "in a month", "2028-02-29"),
        ("2028-02-29", "in a year", "2029-02-28"),
        ("2028-02-29", "29 february", "2028-02-29"),
        ("2028-03-01", "29 february", "2032-02-29"),
        ("2096-03-01", "feb 29", "2104-02-29"),  # 2100 is no leap year
        ("2027-01-30", "the 29th", "2027-03-29"),
        ("2027-01-30", "the 31st", "2027-01-31"),
        ("2027-02-01", "the 31st", "2027-03-31"),
        ("2028-02-01", "last day of the month", "2028-02-29"),
        ("2028-02-28", "end of the month", "2028-02-29"),
    ],
)
def test_the_ends_of_months_and_years(now: str, phrase: str, expected: str) -> None:
    assert show(read_due(phrase, clock(f"{now}T10:00"))) == expected


@pytest.mark.parametrize(
    ("phrase", "reason"),
    [
        # It could mean two days, and the refusal names both.
        ("3/4", "2027-03-04 or 2027-04-03"),
        ("12/11/2026", "2026-11-12 or 2026-12-11"),
        ("5-6-27", "2027-05-06 or 2027-06-05"),
        # It means one day, but is not in the list: the refusal has the spelling.
        ("27/11/2026", "2026-11-27"),
        ("12/25", "2026-12-25"),
        ("27.11.2026", "2026-11-27"),
        ("2026/11/27", "2026-11-27"),
        ("20261127", "2026-11-27"),
        ("13/13/2027", "no such day"),
        # There is no such day.
        ("2026-02-29", "2026-02-28"),
        ("2026-13-01", "no month 13"),
        ("feb 29 2100", "2100-02-28"),
        ("31 november", "November has no day 31"),
        ("the 32nd", "no month has a 32nd"),
        ("the 0th", "no month has a 0th"),
        ("the 31st of this month", "no day 31"),
        ("fifth monday of february", "2027-02-22"),
        ("sixth monday of may", "no 6th Monday"),
        ("thursday 27 november", "is a Friday"),
        ("friday the 13th", "is a Sunday"),
        ("monday 2026-11-27", "is a Friday"),
        ("0000-01-01", "1900 to 9998"),
        ("9999-12-31", "1900 to 9998"),
        ("in 7973 years", "1900 to 9998"),
        ("in 99999 years", "1900 to 9998"),
        ("9998-12-31 at midnight", "1900 to 9998"),
        ("1900-01-01T00:00+14:00", "1900 to 9998"),
        ("in 999999 weeks", "1900 to 9998"),
        # It is over.
        ("the 24th of this month", "2026-11-24 and is over"),
        ("first friday of the month", "2026-11-06 and is over"),
        # It is no single day.
        ("this week", "several days"),
        ("next weekend", "several days"),
        ("next year", "several days"),
        ("november", "several days"),
        ("early december", "several days"),
        ("2026-11", "several days"),
        ("q3 2027", "several days"),
        ("2026-w49", "several days"),
        ("friday or saturday", "more than one"),
        ("friday saturday", "two days"),
        ("monday..friday", "filters"),
        ("before friday", "no single day"),
        # It names no day.
        ("", "leave due out"),
        (" . ", "leave due out"),
        ("soon", "leave due out"),
        ("ASAP", "leave due out"),
        ("someday", "leave due out"),
        ("as soon as possible", "leave due out"),
        ("none", "leave due out"),
        ("skip", "leave due out"),
        ("in a few days", "in 3 days"),
        # It belongs elsewhere.
        ("every friday", "repeat"),
        ("fridays", "repeat"),
        ("daily", "repeat"),
        ("+5 days", "update_task"),
        ("-1 week", "update_task"),
        # Other words.
        ("last friday", "the day itself"),
        ("2 days ago", "the day itself"),
        ("in a fortnight", "in 2 weeks"),
        ("two weeks from friday", "in 3 days"),
        ("in 0 days", "whole number"),
        ("in 1.5 weeks", "whole number"),
        ("eow", "end of the week"),
        ("end of the day", "today at midnight"),
        ("morgen", "in English"),
        ("übermorgen", "in English"),
        ("明日", "in English"),
        ("٣ december", "in English"),
        ("call mum tomorrow", "without other words"),
        ("friday (maybe)", "without other words"),
        ("5", "17:00"),
        ("1764255600", "seconds since 1970"),
    ],
)
def test_a_refusal_says_what_to_write(phrase: str, reason: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        read_due(phrase, WEDNESDAY)
    assert reason in str(refusal.value)
