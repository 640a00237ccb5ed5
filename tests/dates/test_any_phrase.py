"""Properties that hold for any phrase, any day and any moment."""

import locale
import subprocess
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dates.clocks import WEDNESDAY
from todo_mcp.dates.bounds import FIRST_YEAR, LAST_YEAR
from todo_mcp.dates.phrases import NotUnderstood, read_due, read_due_change, read_range
from todo_mcp.dates.words import LONGEST_PHRASE, MONTHS, NUMBERS, ORDINALS, WEEKDAYS
from todo_mcp.dates.zones import Clock, find_zone, show, show_in_words

DAYS = st.dates(date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31))
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]
).map(find_zone)
MOMENTS = st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
CLOCKS = st.builds(Clock, MOMENTS, ZONES)
PIECES = """
today tomorrow yesterday tonight noon midnight morning afternoon evening night day after the of in on by at a an and or
this next last past end week weekend month year days weeks months years hour minutes every soon 0 1 2 5 12 27 29 30 31
32 99 2026 2027 99999 999999 9am 12am 12pm 3:15 15:00 24:00 9:60pm 27th 1st 0th 3/4 2026-11-27 2026-02-29 0000-00-00
9999-12-31 2026-11-27T09:00 T Z +01:00 +3 -1 .. . , + - '
"""
WORDS = st.sampled_from([*WEEKDAYS, *MONTHS, *NUMBERS, *ORDINALS, *PIECES.split(), "\u2212", "\x00"])
PHRASES = st.text(max_size=LONGEST_PHRASE + 1) | st.builds(
    "".join, st.lists(st.tuples(WORDS, st.sampled_from([" ", " ", " ", "", "  ", ", "])).map("".join), max_size=9)
)
CURRENT = st.none() | DAYS | MOMENTS


@given(DAYS, CLOCKS)
def test_any_iso_day_is_that_day(day: date, clock: Clock) -> None:
    assert read_due(day.isoformat(), clock) == day
    assert read_range(day.isoformat(), clock) == (day, day)
    assert read_due(show_in_words(day, clock).split(", ")[-1], clock) == day


@given(MOMENTS, CLOCKS)
def test_any_moment_is_understood_as_it_is_shown(moment: datetime, clock: Clock) -> None:
    local = moment.replace(second=0, microsecond=0).astimezone(clock.zone)
    understood = read_due(show(local), clock)
    assert isinstance(understood, datetime)
    assert understood.astimezone(UTC) == local.astimezone(UTC)
    assert show(understood) == show(local)


@given(PHRASES, CLOCKS)
def test_any_phrase_is_understood_or_refused(phrase: str, clock: Clock) -> None:
    try:
        due = read_due(phrase, clock)
    except NotUnderstood as refusal:
        check_refusal(refusal)
        return
    assert FIRST_YEAR <= due.year <= LAST_YEAR
    if isinstance(due, datetime):
        assert due.tzinfo is clock.zone
        assert (due.second, due.microsecond) == (0, 0)
        assert due.astimezone(UTC).astimezone(clock.zone).replace(fold=0) == due.replace(fold=0)  # this time exists
    assert read_due(show(due), clock) == due


@given(PHRASES, CLOCKS)
def test_any_range_is_in_order_or_refused(phrase: str, clock: Clock) -> None:
    try:
        first, last = read_range(phrase, clock)
    except NotUnderstood as refusal:
        check_refusal(refusal)
        return
    assert first or last
    if first and last:
        assert first <= last


@given(PHRASES, CLOCKS, CURRENT)
def test_any_change_is_understood_or_refused(phrase: str, clock: Clock, current: date | datetime | None) -> None:
    try:
        due, left, kept = read_due_change(phrase, clock, current)
    except NotUnderstood as refusal:
        check_refusal(refusal)
        return
    assert FIRST_YEAR <= due.year <= LAST_YEAR
    if kept == "time":
        assert isinstance(due, datetime)
        assert not clock.is_past(due)
    assert kept in (None, left)
    if left != "day":
        others = (None, clock.today, WEDNESDAY.now) if left is None else (None, clock.today)
        alone = due if left is None else read_due(phrase, clock)
        assert [read_due_change(phrase, clock, other).due for other in others] == [alone] * len(others)


@given(st.sampled_from([*WEEKDAYS]), CLOCKS)
def test_a_weekday_is_within_seven_days_and_the_next_one_in_the_week_after(weekday: str, clock: Clock) -> None:
    this, following = read_due(weekday, clock), read_due(f"next {weekday}", clock)
    assert this.weekday() == following.weekday() == WEEKDAYS[weekday]
    assert timedelta(0) <= this - clock.today < timedelta(7)
    monday = clock.today - timedelta(clock.today.weekday())
    assert timedelta(7) <= following - monday < timedelta(14)


def check_refusal(refusal: NotUnderstood) -> None:
    """The reason is one line that says something, without control characters and long copies of the phrase."""
    text = str(refusal)
    assert text.isprintable()
    assert 20 < len(text) < 250


@pytest.mark.parametrize("length", [LONGEST_PHRASE + 1, 1_000_000])
def test_a_long_phrase_is_refused_before_it_is_read(length: int) -> None:
    for read in (read_due, read_range):
        with pytest.raises(NotUnderstood, match="at most 100 characters"):
            read("9" * length, WEDNESDAY)


@pytest.mark.parametrize(
    "phrase",
    [
        "a " * 50,
        "9 " * 50,
        "on " * 33,
        "friday " * 14,
        "morning " * 12,
        "27 november 2026 " * 5,
        "the 1st friday of " * 5,
        "in 999999 weeks at 9:59:59 pm",
        "29 feb at 00:00",
        "last 999999 days",
        "." * 100,
        "1" * 100,
        "sometime" + " " * 92,
        "9:00 " * 20,
    ],
)
def test_the_slowest_phrases_take_milliseconds(phrase: str) -> None:
    start = time.process_time()
    for read in (read_due, read_range):
        for _ in range(10):
            try:
                read(phrase, WEDNESDAY)
            except NotUnderstood as refusal:
                check_refusal(refusal)
    assert time.process_time() - start < 2  # 20 readings


def test_the_locale_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a German locale, `strftime` and `strptime` use German names."""
    try:
        subprocess.run(["localedef", "-c", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no localedef, or it does not know German")
    before = locale.setlocale(locale.LC_ALL)
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    locale.setlocale(locale.LC_ALL, "")
    try:
        assert f"{WEDNESDAY.now:%A}" == "Mittwoch"
        due = read_due("FRIDAY 4th December at 9AM", WEDNESDAY)
        assert show_in_words(due, WEDNESDAY) == "Friday 4 December 2026, 09:00 (Europe/Berlin)"
        assert WEDNESDAY.weekday == "Wednesday"
        with pytest.raises(NotUnderstood):
            read_due("Freitag", WEDNESDAY)
    finally:
        monkeypatch.undo()
        locale.setlocale(locale.LC_ALL, before)
