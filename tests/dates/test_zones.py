"""Time zones, changes of the clocks, and dates as text."""

from datetime import UTC, date, datetime, time
from importlib import resources
from zoneinfo import ZoneInfo

import pytest

from tests.dates.clocks import WEDNESDAY, clock
from todo_mcp.dates.phrases import read_due
from todo_mcp.dates.zones import Clock, UnknownZone, at, earlier, find_zone, show, show_in_words


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("US/Eastern", "US/Eastern"),
        ("utc", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
def test_an_iana_name_finds_its_zone(name: str, key: str) -> None:
    assert find_zone(name).key == key


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "Berlin", "Europe/Atlantis", "Europe", "Europe/", "XYZ", "Factory", "+01:00", "GMT+1"),
        *(
            "../../../etc/passwd",
            "/etc/localtime",
            "Europe/../UTC",
            "zone.tab",
            "tzdata.zi",
            "Europe/Berlin\0",
            "posixrules",
        ),
        *("posixrules", "Europe/Berlin" * 1000, "\ud800", "Europe\\Berlin"),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownZone, match="write for example Europe/Berlin"):
        find_zone(name)


def test_the_rules_come_from_the_package_and_not_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_system_files(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("zoneinfo._common.load_tzdata", no_system_files)
    names = resources.files("tzdata").joinpath("zones").read_text().split()
    places = [name for name in names if "/" in name]
    assert len(places) > 500
    assert {find_zone(name).key for name in places} == set(places)


def test_a_zone_is_read_once() -> None:
    assert find_zone("Europe/Paris") is find_zone("europe/paris")


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        # The clocks skip this time.
        ("Europe/Berlin", "2027-03-28T02:30", "2027-03-28T03:30+02:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-04T02:45+11:00"),  # half an hour
        ("America/St_Johns", "2027-03-14T02:30", "2027-03-14T03:30-02:30"),
        ("Africa/Casablanca", "2026-03-22T02:30", "2026-03-22T03:30+01:00"),  # the end of Ramadan
        ("Africa/Cairo", "2027-04-30T00:00", "2027-04-30T01:00+03:00"),  # midnight
        ("Pacific/Apia", "2011-12-30T09:00", "2011-12-31T09:00+14:00"),  # a whole day
        # This time occurs twice: the first.
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T02:30+02:00"),
        ("Australia/Lord_Howe", "2027-04-04T01:45", "2027-04-04T01:45+11:00"),
        ("America/St_Johns", "2026-11-01T01:30", "2026-11-01T01:30-02:30"),
        ("Africa/Casablanca", "2026-02-15T02:30", "2026-02-15T02:30+01:00"),
        # Just before and after.
        ("Europe/Berlin", "2027-03-28T01:59", "2027-03-28T01:59+01:00"),
        ("Europe/Berlin", "2027-03-28T03:00", "2027-03-28T03:00+02:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:30", "2026-10-04T02:30+11:00"),
    ],
)
def test_a_skipped_time_moves_on_and_a_double_time_is_the_first(zone: str, local: str, expected: str) -> None:
    naive = datetime.fromisoformat(local)
    assert show(at(naive.date(), naive.time(), find_zone(zone))) == expected
    assert show(read_due(local, clock("2026-01-01T00:00Z", zone))) == expected


@pytest.mark.parametrize(
    ("zone", "now", "phrase", "expected"),
    [
        ("Australia/Lord_Howe", "2026-10-03T12:00", "tomorrow at 2:15am", "2026-10-04T02:45+11:00"),
        ("Australia/Lord_Howe", "2027-04-03T12:00", "in 24 hours", "2027-04-04T11:30+10:30"),
        ("America/St_Johns", "2026-10-31T12:00", "in 24 hours", "2026-11-01T11:00-03:30"),
        ("Pacific/Apia", "2011-12-29T12:00", "tomorrow", "2011-12-30"),
        ("Pacific/Apia", "2011-12-29T12:00", "tomorrow at noon", "2011-12-31T12:00+14:00"),
        ("Pacific/Apia", "2011-12-29T12:00", "in 24 hours", "2011-12-31T12:00+14:00"),
        ("Africa/Casablanca", "2026-02-14T12:00", "in 24 hours", "2026-02-15T11:00+00:00"),
        ("Africa/Cairo", "2027-04-29T12:00", "midnight", "2027-04-30T01:00+03:00"),
        # 02:40 for the first time: 02:30 is past, although it comes once more.
        ("Europe/Berlin", "2026-10-25T02:40+02:00", "02:30", "2026-10-26T02:30+01:00"),
        ("Europe/Berlin", "2026-10-25T02:10+01:00", "02:30", "2026-10-26T02:30+01:00"),
        ("Europe/Berlin", "2026-10-25T02:10+01:00", "in 30 minutes", "2026-10-25T02:40+01:00"),
    ],
)
def test_phrases_around_a_change_of_the_clocks(zone: str, now: str, phrase: str, expected: str) -> None:
    assert show(read_due(phrase, clock(now, zone))) == expected


def test_instants_are_compared_and_not_local_times() -> None:
    first, second = (clock(f"2026-10-25T{time}").now for time in ("02:40+02:00", "02:10+01:00"))
    assert first > second  # as Python compares times of one zone
    assert earlier(first, second)


def test_a_clock_shows_the_moment_in_its_zone() -> None:
    tokyo = Clock(datetime(2026, 11, 21, 16, 5, 59, tzinfo=UTC), find_zone("Asia/Tokyo"))
    assert (tokyo.text, tokyo.weekday, tokyo.time_zone) == ("2026-11-22T01:05+09:00", "Sunday", "Asia/Tokyo")
    assert tokyo.today == date(2026, 11, 22)


@pytest.mark.parametrize(
    ("due", "past"),
    [
        ("2026-11-24", True),
        ("2026-11-25", False),
        ("2026-11-25T09:59", True),
        ("2026-11-25T10:00", False),
        ("2026-11-25T08:59Z", True),
    ],
)
def test_a_day_is_past_when_it_is_over_and_a_moment_at_once(due: str, past: bool) -> None:
    assert WEDNESDAY.is_past(read_due(due, WEDNESDAY)) is past


@pytest.mark.parametrize(
    ("due", "words"),
    [
        ("2026-11-25", "today, Wednesday 25 November 2026"),
        ("2026-11-26", "tomorrow, Thursday 26 November 2026"),
        ("2026-11-27", "Friday 27 November 2026"),
        ("2026-11-24", "Tuesday 24 November 2026"),
        ("2026-11-27T09:00", "Friday 27 November 2026, 09:00 (Europe/Berlin)"),
        ("2026-11-25T17:30", "today, Wednesday 25 November 2026, 17:30 (Europe/Berlin)"),
        ("2026-11-25T23:30Z", "tomorrow, Thursday 26 November 2026, 00:30 (Europe/Berlin)"),
    ],
)
def test_a_due_date_in_words(due: str, words: str) -> None:
    assert show_in_words(read_due(due, WEDNESDAY), WEDNESDAY) == words


def test_a_moment_in_another_zone_is_worded_in_the_zone_of_the_clock() -> None:
    tokyo = at(date(2026, 11, 26), time(3, 0), find_zone("Asia/Tokyo"))
    assert show_in_words(tokyo, WEDNESDAY) == "today, Wednesday 25 November 2026, 19:00 (Europe/Berlin)"


def test_the_zone_of_the_standard_library_is_equal_in_its_rules() -> None:
    moment = datetime(2027, 7, 1, 12, 0)
    assert moment.replace(tzinfo=find_zone("Europe/Dublin")).utcoffset() == ZoneInfo("Europe/Dublin").utcoffset(moment)
