"""Properties that hold for any text and any rule. dateutil is the second opinion."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.dates.test_any_phrase import CLOCKS, WORDS
from todo_mcp.dates.repeats import read_repeat
from todo_mcp.dates.rule_parts import DAY_CODES, FREQUENCIES, NotARule
from todo_mcp.dates.rules import Rule
from todo_mcp.dates.words import LONGEST_PHRASE

DAYS = st.dates(date(1900, 1, 1), date(2200, 12, 31))
PIECES = """
every each other alternate once daily weekly monthly yearly fortnightly quarterly week quarter weekday workdays weekends
Mondays Fridays mornings evening completion after until till for times second seconds last end the and & / - to ! :
FREQ= DAILY WEEKLY MONTHLY YEARLY ; , INTERVAL= COUNT= UNTIL= BYDAY= BYMONTH= BYMONTHDAY= BYSETPOS= BYWEEKNO= BYYEARDAY=
WKST= X-AFTER= COMPLETION MO TU -1FR 2SU 0 1 -1 20 31 366 RRULE: DTSTART: 20261224 20261224T000000Z
"""
PHRASES = st.text(max_size=LONGEST_PHRASE + 1) | st.builds(
    "".join,
    st.lists(
        st.tuples(WORDS | st.sampled_from(PIECES.split()), st.sampled_from([" ", " ", "", ", "])).map("".join),
        max_size=9,
    ),
)
SIGNED = st.integers(1, 31).flatmap(lambda number: st.sampled_from([number, -number]))


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=4, unique=True).map(lambda items: ",".join(map(str, items)))


@st.composite
def rrules(draw: st.DrawFn) -> str:
    """RRULEs that RFC 5545 allows, some of which never happen."""
    frequency = draw(st.sampled_from(FREQUENCIES))
    codes = st.sampled_from(DAY_CODES)
    numbered = st.tuples(SIGNED.filter(lambda number: abs(number) <= 5), codes).map(lambda day: f"{day[0]}{day[1]}")
    optional = {
        "INTERVAL": st.integers(1, 12),
        "BYMONTH": lists(st.integers(1, 12)),
        "BYDAY": lists(numbered) | lists(codes) if frequency in ("MONTHLY", "YEARLY") else lists(codes),
        "WKST": codes,
    }
    if frequency != "WEEKLY":
        optional["BYMONTHDAY"] = lists(SIGNED)
    if frequency == "YEARLY":
        optional["BYYEARDAY"] = lists(st.integers(1, 366).flatmap(lambda day: st.sampled_from([day, day - 367])))
        optional["BYWEEKNO"] = lists(st.integers(1, 53))
    if frequency != "DAILY":
        optional["BYSETPOS"] = lists(SIGNED.filter(lambda number: abs(number) <= 5))
    names = draw(st.sets(st.sampled_from(sorted(optional)), max_size=4))
    return ";".join([f"FREQ={frequency}", *(f"{name}={draw(optional[name])}" for name in sorted(names))])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    try:
        return Rule.parse(draw(rrules()))
    except NotARule:
        assume(False)
        raise


ENDS = st.sampled_from(["", ";COUNT=1", ";COUNT=1000000000", ";UNTIL=20261224", ";UNTIL=20261224T170000Z"])


@given(PHRASES, CLOCKS)
def test_any_text_is_a_rule_or_gets_a_reason(text: str, clock: Any) -> None:
    try:
        repeat = read_repeat(text, clock)
    except NotARule as refusal:
        reason = str(refusal)
        assert reason.isprintable()
        assert len(reason) < 400
        return
    assert Rule.parse(str(repeat.rule)) == repeat.rule
    repeat.rule.first(clock.today)


@given(rules(), ENDS)
def test_any_rule_survives_being_written_and_read(rule: Rule, end: str) -> None:
    ended = Rule.parse(f"{rule}{end}")

    assert Rule.parse(str(ended)) == ended
    assert str(Rule.parse(str(ended))) == str(ended)


@given(rules(), DAYS, st.integers(0, 400))
def test_the_next_date_is_the_one_of_dateutil(rule: Rule, own: date, days: int) -> None:
    if rule.frequency == "WEEKLY" and rule.positions:
        own -= timedelta(days=(own.weekday() - rule.week_start) % 7)  # dateutil cuts the week before its first date
    after = own + timedelta(days=days)
    found = rule.next(own, after)
    if found.day is None:
        assert rule.interval > 1 or not (rule.weekdays or rule.month_days or rule.year_days)
        return

    reference = rrulestr(str(rule), dtstart=datetime.combine(own, time()))

    assert datetime.combine(found.day, time()) == reference.after(datetime.combine(after, time()))
    between = reference.between(datetime.combine(own, time()), datetime.combine(after, time(23)))
    assert found.left_out == len(between)
    assert list(found.named) == [moment.date() for moment in between[:3]]


@given(rules(), DAYS)
def test_a_series_starts_on_one_of_its_dates_and_goes_on(rule: Rule, start: date) -> None:
    first = rule.first(start)
    if first is None:
        assert not (rule.weekdays or rule.month_days or rule.year_days)
        return

    assert first >= start
    assert rule.is_occurrence(first)
    second = rule.next(first, first).day
    assert second is None or second > first
    assert rule.first(first) == first


@given(st.sampled_from(FREQUENCIES), st.integers(1, 1000), DAYS)
def test_a_rule_after_completion_counts_from_that_day(frequency: str, interval: int, completed: date) -> None:
    rule = Rule.parse(f"FREQ={frequency};INTERVAL={interval};X-AFTER=COMPLETION")
    following = rule.next(date(2026, 11, 25), completed).day

    assert following == rule.days_after(completed)
    assert following is not None
    longest = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}[frequency]
    assert interval <= (following - completed).days <= interval * longest


@given(rules(), DAYS)
def test_until_only_ends_a_rule(rule: Rule, own: date) -> None:
    following = rule.next(own, own).day
    assume(following is not None and rule.count is None)
    assert following is not None
    day_before = following - timedelta(days=1)
    instant = datetime.combine(following, time(9), UTC)

    assert Rule.parse(f"{rule};UNTIL={following:%Y%m%d}").next(own, own).day == following
    assert Rule.parse(f"{rule};UNTIL={day_before:%Y%m%d}").next(own, own).day is None
    until = Rule.parse(f"{rule};UNTIL={instant:%Y%m%dT%H%M%SZ}")
    assert until.next(own, own, lambda day: datetime.combine(day, time(9), UTC)).day == following
    assert until.next(own, own, lambda day: datetime.combine(day, time(9, 1), UTC)).day is None
