"""The dates of a rule: the first, the next, those that are left out, and the end."""

from datetime import date, datetime, time, timedelta
from time import perf_counter

import pytest

from todo_mcp.dates.rule_parts import NotARule
from todo_mcp.dates.rules import MOST_LEFT_OUT, Next, Rule
from todo_mcp.dates.zones import at, find_zone

WEDNESDAY = "2026-11-25"


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


@pytest.mark.parametrize(
    ("rrule", "first"),
    [
        ("FREQ=DAILY;INTERVAL=3", WEDNESDAY),
        ("FREQ=DAILY;INTERVAL=2;BYDAY=MO", "2026-11-30"),
        ("FREQ=WEEKLY", WEDNESDAY),
        ("FREQ=WEEKLY;BYDAY=MO,WE", WEDNESDAY),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", "2026-12-01"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR", "2026-11-27"),
        ("FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE", "2026-11-30"),
        ("FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,WE", WEDNESDAY),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,WE;WKST=SU", "2026-11-29"),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1", "2026-11-30"),
        ("FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=1,28", "2026-12-01"),
        ("FREQ=MONTHLY;BYMONTH=2", "2027-02-25"),
        ("FREQ=MONTHLY;BYDAY=5FR", "2027-01-29"),
        ("FREQ=MONTHLY;BYDAY=MO,2TU", "2026-11-30"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2028-02-29"),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "2028-02-29"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "2044-02-29"),
        ("FREQ=YEARLY;BYDAY=-1MO", "2026-12-28"),
        ("FREQ=YEARLY;BYDAY=20MO", "2027-05-17"),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=TH", "2026-12-31"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU", "2027-01-10"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=SU", "2027-01-03"),
        ("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU", "2027-01-03"),
        ("FREQ=YEARLY;BYYEARDAY=-1", "2026-12-31"),
        ("FREQ=DAILY;UNTIL=20261125", WEDNESDAY),
        ("FREQ=DAILY;UNTIL=20261124", None),
        ("FREQ=MONTHLY;BYMONTHDAY=31;UNTIL=20261201", None),
        ("FREQ=WEEKLY;X-AFTER=COMPLETION", WEDNESDAY),
    ],
)
def test_the_first_date_of_a_series_is_on_the_day_or_after_it(rrule: str, first: str | None) -> None:
    assert Rule.parse(rrule).first(date(2026, 11, 25)) == day(first)


@pytest.mark.parametrize(
    ("rrule", "start", "not_before", "first"),
    [
        ("FREQ=WEEKLY;BYDAY=MO", "2026-11-20", WEDNESDAY, "2026-11-30"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR", "2026-11-20", WEDNESDAY, "2026-12-04"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE", "2026-12-02", "2026-12-02", "2026-12-07"),
        ("FREQ=MONTHLY", "2026-01-31", "2026-02-05", "2026-03-31"),
        ("FREQ=DAILY;COUNT=1", "2026-11-20", WEDNESDAY, WEDNESDAY),
        ("FREQ=DAILY", "2026-12-01", WEDNESDAY, "2026-12-01"),
        ("FREQ=DAILY;UNTIL=20261122", "2026-11-20", WEDNESDAY, None),
        ("FREQ=DAILY;X-AFTER=COMPLETION", "2026-11-20", WEDNESDAY, WEDNESDAY),
    ],
)
def test_a_series_from_a_past_day_passes_the_dates_before_today(
    rrule: str, start: str, not_before: str, first: str | None
) -> None:
    assert Rule.parse(rrule).first(date.fromisoformat(start), date.fromisoformat(not_before)) == day(first)


@pytest.mark.parametrize(
    ("rrule", "own", "after", "expected", "left_out"),
    [
        ("FREQ=DAILY", WEDNESDAY, WEDNESDAY, "2026-11-26", 0),
        ("FREQ=DAILY", "2026-11-20", WEDNESDAY, "2026-11-26", 5),
        ("FREQ=WEEKLY;BYDAY=MO", "2026-11-30", "2026-11-27", "2026-12-07", 0),
        ("FREQ=WEEKLY;INTERVAL=2", "2026-11-04", WEDNESDAY, "2026-12-02", 1),
        ("FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE", "2026-11-30", "2026-11-30", "2026-12-02", 0),
        ("FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,WE", "2026-12-02", "2026-12-02", "2026-12-21", 0),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO", "2026-11-22", "2026-11-22", "2026-11-30", 0),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=SU", "2026-11-22", "2026-11-22", "2026-11-23", 0),
        ("FREQ=MONTHLY", "2026-01-31", "2026-01-31", "2026-03-31", 0),
        ("FREQ=MONTHLY", "2026-01-30", "2026-04-01", "2026-04-30", 1),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31", "2026-01-31", "2026-02-28", 0),
        ("FREQ=MONTHLY;INTERVAL=2", "2026-12-31", "2026-12-31", "2027-08-31", 0),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-10-30", "2026-10-30", "2026-11-30", 0),
        ("FREQ=YEARLY", "2028-02-29", "2028-02-29", "2032-02-29", 0),
        ("FREQ=YEARLY", "2096-02-29", "2096-02-29", "2104-02-29", 0),
        ("FREQ=YEARLY;INTERVAL=4", "2027-02-28", "2027-02-28", "2031-02-28", 0),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "2026-03-29", "2026-11-27", "2027-03-28", 0),
        ("FREQ=DAILY;COUNT=2", "2026-11-20", WEDNESDAY, "2026-11-26", 5),
        ("FREQ=DAILY;COUNT=1", WEDNESDAY, WEDNESDAY, None, 0),
        ("FREQ=DAILY;UNTIL=20261126", WEDNESDAY, WEDNESDAY, "2026-11-26", 0),
        ("FREQ=DAILY;UNTIL=20261125", WEDNESDAY, WEDNESDAY, None, 0),
        ("FREQ=DAILY;UNTIL=20261122", "2026-11-20", WEDNESDAY, None, 2),
        ("FREQ=DAILY;INTERVAL=3;X-AFTER=COMPLETION", "2026-12-10", WEDNESDAY, "2026-11-28", 0),
        ("FREQ=MONTHLY;X-AFTER=COMPLETION", "2026-01-01", "2026-01-31", "2026-02-28", 0),
        ("FREQ=YEARLY;X-AFTER=COMPLETION", "2028-02-29", "2028-02-29", "2029-02-28", 0),
        ("FREQ=DAILY;X-AFTER=COMPLETION;COUNT=1", WEDNESDAY, WEDNESDAY, None, 0),
        ("FREQ=WEEKLY;X-AFTER=COMPLETION;UNTIL=20261201", WEDNESDAY, WEDNESDAY, None, 0),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "2027-02-28", "2027-02-28", None, 0),
        ("FREQ=DAILY", "9998-12-31", "9998-12-31", None, 0),
        ("FREQ=DAILY", "9999-12-31", "9999-12-31", None, 0),
        ("FREQ=YEARLY;X-AFTER=COMPLETION", "9998-12-31", "9998-12-31", None, 0),
    ],
)
def test_the_next_date_is_after_the_own_date_and_after_another(
    rrule: str, own: str, after: str, expected: str | None, left_out: int
) -> None:
    following = Rule.parse(rrule).next(date.fromisoformat(own), date.fromisoformat(after))

    assert (following.day, following.left_out) == (day(expected), left_out)


def test_the_first_dates_that_are_left_out_are_named_and_many_are_not_counted() -> None:
    daily = Rule.parse("FREQ=DAILY")

    week = daily.next(date(2026, 11, 20), date(2026, 11, 26))
    assert week == Next(date(2026, 11, 27), 6, (date(2026, 11, 21), date(2026, 11, 22), date(2026, 11, 23)))
    century = daily.next(date(1900, 1, 1), date(2026, 11, 26))
    assert (century.day, century.left_out, len(century.named)) == (date(2026, 11, 27), MOST_LEFT_OUT, 3)


def test_count_goes_down_by_one_until_the_last() -> None:
    rule = Rule.parse("FREQ=DAILY;COUNT=3").after_one()
    assert str(rule) == "FREQ=DAILY;COUNT=2"
    assert Rule.parse("FREQ=DAILY;COUNT=1").after_one() is None
    assert str(Rule.parse("FREQ=DAILY").after_one()) == "FREQ=DAILY"


@pytest.mark.parametrize(
    ("until", "local", "zone", "expected"),
    [
        ("20261126", time(23, 59), "Europe/Berlin", "2026-11-26"),
        ("20261126T080000Z", time(9), "Europe/Berlin", "2026-11-26"),
        ("20261126T075959Z", time(9), "Europe/Berlin", None),
        ("20261126T235959Z", time(20), "America/New_York", None),
        ("20261126T235959Z", time(18, 30), "America/New_York", "2026-11-26"),
        ("20261125T235959Z", time(9), "Pacific/Auckland", "2026-11-26"),
        ("20261126T000000Z", None, "UTC", "2026-11-26"),
        ("20261125T235959Z", None, "UTC", None),
    ],
)
def test_until_as_a_moment_is_compared_with_the_moment_of_an_occurrence(
    until: str, local: time | None, zone: str, expected: str | None
) -> None:
    def moment_of(occurrence: date) -> datetime:
        assert local is not None
        return at(occurrence, local, find_zone(zone))

    rule = Rule.parse(f"FREQ=DAILY;UNTIL={until}")
    ends = moment_of if local else None

    assert rule.next(date(2026, 11, 25), date(2026, 11, 25), ends).day == day(expected)
    assert rule.first(date(2026, 11, 26), moment_of=ends) == day(expected)
    assert rule.is_over(date(2026, 11, 26), ends) == (expected is None)


@pytest.mark.parametrize(
    ("rrule", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=5", True),
        ("FREQ=WEEKLY;BYDAY=WE", True),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", False),
        ("FREQ=MONTHLY;BYMONTHDAY=25", True),
        ("FREQ=MONTHLY;BYDAY=-1WE", True),
        ("FREQ=MONTHLY;BYDAY=1WE", False),
        ("FREQ=YEARLY", True),
        ("FREQ=YEARLY;BYMONTH=3", False),
        ("FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1", False),
        ("FREQ=DAILY;X-AFTER=COMPLETION", True),
    ],
)
def test_a_day_is_an_occurrence_if_a_series_can_start_on_it(rrule: str, expected: bool) -> None:
    assert Rule.parse(rrule).is_occurrence(date(2026, 11, 25)) is expected


@pytest.mark.parametrize(
    ("rrule", "own", "expected"),
    [
        ("FREQ=MONTHLY", "2026-01-31", True),
        ("FREQ=MONTHLY", "2026-01-29", True),
        ("FREQ=MONTHLY", "2026-01-28", False),
        ("FREQ=MONTHLY;BYMONTHDAY=30", "2026-01-30", True),
        ("FREQ=MONTHLY;BYMONTHDAY=-31", "2026-01-01", True),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31", False),
        ("FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1", "2026-01-31", False),
        ("FREQ=MONTHLY;BYMONTH=1,3;BYMONTHDAY=31", "2026-01-31", False),
        ("FREQ=MONTHLY;INTERVAL=12", "2026-01-31", False),
        ("FREQ=MONTHLY;INTERVAL=3", "2026-01-31", True),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30", False),
        ("FREQ=YEARLY", "2028-02-29", True),
        ("FREQ=YEARLY", "2026-12-31", False),
        ("FREQ=YEARLY;BYMONTHDAY=31", "2026-12-31", True),
        ("FREQ=DAILY", "2026-01-31", False),
        ("FREQ=WEEKLY", "2026-01-31", False),
        ("FREQ=MONTHLY;X-AFTER=COMPLETION", "2026-01-31", False),
    ],
)
def test_a_rule_tells_whether_it_skips_short_months(rrule: str, own: str, expected: bool) -> None:
    assert Rule.parse(rrule).skips_months(date.fromisoformat(own)) is expected


ALL_DAYS = "BYDAY=MO,TU,WE,TH,FR,SA,SU"
WORST = [
    "FREQ=DAILY;COUNT=9999999999",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
    f"FREQ=DAILY;INTERVAL=1000;{ALL_DAYS};BYMONTH=2;BYMONTHDAY=29",
    f"FREQ=WEEKLY;INTERVAL=1000;{ALL_DAYS};BYMONTH=2",
    f"FREQ=MONTHLY;{ALL_DAYS};BYMONTHDAY=29,30,31;BYSETPOS=-3,3;BYMONTH=2",
    f"FREQ=YEARLY;INTERVAL=1000;{ALL_DAYS};BYWEEKNO=53;BYYEARDAY=366",
    f"FREQ=YEARLY;{ALL_DAYS};BYWEEKNO=10;BYMONTH=12,11,10,9,8,7,6,5,4",
    f"FREQ=YEARLY;{ALL_DAYS};BYWEEKNO=10;BYYEARDAY=200",
    f"FREQ=YEARLY;{ALL_DAYS};BYSETPOS=366;INTERVAL=3",
]


@pytest.mark.parametrize("rrule", WORST)
def test_the_worst_rules_end_soon(rrule: str) -> None:
    """Measured: at most 45 ms. dateutil needs 5 seconds for the second one, and nothing can stop it."""
    start = perf_counter()
    try:
        rule = Rule.parse(rrule)
        rule.first(date(2026, 11, 25))
        rule.is_occurrence(date(2026, 11, 25))
        rule.next(date(1900, 1, 1), date(2026, 11, 25))
    except NotARule:
        pass
    assert perf_counter() - start < timedelta(seconds=2).total_seconds()
