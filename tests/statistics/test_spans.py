"""The times that reports are about, and the times that they are compared with."""

from datetime import UTC, datetime, timedelta

import pytest

from todo_mcp.statistics.spans import DAY, HOUR, span_at, span_of

NOW = datetime(2026, 11, 27, 14, 25, tzinfo=UTC)
TODAY = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "start", "until", "before", "bars"),
    [
        ("today", TODAY, NOW, (TODAY - DAY, NOW - DAY), 24),
        ("yesterday", TODAY - DAY, TODAY, (TODAY - 2 * DAY, TODAY - DAY), 24),
        ("7d", TODAY - 6 * DAY, NOW, (TODAY - 13 * DAY, NOW - 7 * DAY), 7),
        ("30d", TODAY - 29 * DAY, NOW, (TODAY - 59 * DAY, NOW - 30 * DAY), 30),
    ],
)
def test_a_span_is_compared_with_the_one_before_that_has_passed_as_far(
    name: str, start: datetime, until: datetime, before: tuple[datetime, datetime], bars: int
) -> None:
    span = span_of(name, NOW)
    assert (span.start, span.until, span.before, len(span.bars)) == (start, until, before, bars)
    assert span.step == (HOUR if bars == 24 else DAY)
    assert (span.bars[0], span.bars[-1] + span.step) == (span.start, span.end)


def test_an_hour_or_a_day_is_compared_with_the_same_of_the_day_before() -> None:
    hour = span_at("2026-11-27T14", NOW)
    assert (hour.start, hour.until) == (TODAY + 14 * HOUR, NOW)
    assert hour.before == (hour.start - DAY, NOW - DAY)
    day = span_at("2026-11-20", NOW)
    assert (day.until - day.start, day.before) == (DAY, (day.start - DAY, day.start))


def test_the_future_has_no_calls() -> None:
    span = span_at("2026-11-28", NOW)
    assert span.until == span.start


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01", "2026-11-27T25", "2026-11-27T14:00", "20261127", "0001-01-01", "9999-12-31T23"]
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        span_at(text, NOW)


def test_times_of_other_zones_count_in_utc() -> None:
    assert span_of("today", NOW.astimezone().replace(microsecond=0)).start == TODAY
    assert span_of("today", NOW + timedelta(hours=12)).start == TODAY + DAY
