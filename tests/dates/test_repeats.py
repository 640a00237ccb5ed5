"""Repeats in words: how often, on which days, at what time and until when."""

from datetime import time

import pytest

from tests.dates.clocks import WEDNESDAY
from todo_mcp.dates.repeats import read_repeat
from todo_mcp.dates.rule_parts import NotARule
from todo_mcp.dates.rules import Rule

HOW_OFTEN = [
    ("Daily.", "FREQ=DAILY"),
    ("once a day", "FREQ=DAILY"),
    ("every 1 day", "FREQ=DAILY"),
    ("  every   second\tday ", "FREQ=DAILY;INTERVAL=2"),
    ("every alternate day", "FREQ=DAILY;INTERVAL=2"),
    ("every 90 days", "FREQ=DAILY;INTERVAL=90"),
    ("once a week", "FREQ=WEEKLY"),
    ("each week", "FREQ=WEEKLY"),
    ("every second week", "FREQ=WEEKLY;INTERVAL=2"),
    ("every fortnight", "FREQ=WEEKLY;INTERVAL=2"),
    ("fortnightly", "FREQ=WEEKLY;INTERVAL=2"),
    ("every twelve weeks", "FREQ=WEEKLY;INTERVAL=12"),
    ("every other month", "FREQ=MONTHLY;INTERVAL=2"),
    ("every six months", "FREQ=MONTHLY;INTERVAL=6"),
    ("every quarter", "FREQ=MONTHLY;INTERVAL=3"),
    ("quarterly", "FREQ=MONTHLY;INTERVAL=3"),
    ("every other year", "FREQ=YEARLY;INTERVAL=2"),
    ("once per year", "FREQ=YEARLY"),
]
WEEKDAYS = [
    ("every workday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
    ("every working day", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
    ("each business day", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
    ("weekdays", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
    ("every Monday to Friday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
    ("every Mon-Thu", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH"),
    ("every Friday through Monday", "FREQ=WEEKLY;BYDAY=MO,FR,SA,SU"),
    ("on weekends", "FREQ=WEEKLY;BYDAY=SA,SU"),
    ("every weekend", "FREQ=WEEKLY;BYDAY=SA,SU"),
    ("every Tues", "FREQ=WEEKLY;BYDAY=TU"),
    ("on Mondays and Thursdays", "FREQ=WEEKLY;BYDAY=MO,TH"),
    ("every Thursday and every Monday", "FREQ=WEEKLY;BYDAY=MO,TH"),
    ("every Mon/Wed/Fri", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
    ("every Mon Wed & Fri", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
    ("every Mon, Wed, and Fri", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
    ("weekly on Mondays and Thursdays", "FREQ=WEEKLY;BYDAY=MO,TH"),
    ("Tuesday every 2 weeks", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"),
    ("every fortnight on Friday", "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR"),
    ("every other Mon and Thu", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH"),
]
DAYS_OF_A_MONTH = [
    ("every first of the month", "FREQ=MONTHLY;BYMONTHDAY=1"),
    ("the 1st and the 15th of every month", "FREQ=MONTHLY;BYMONTHDAY=1,15"),
    ("every 1st and 15th", "FREQ=MONTHLY;BYMONTHDAY=1,15"),
    ("monthly on the 31st", "FREQ=MONTHLY;BYMONTHDAY=31"),
    ("every 15th of each month", "FREQ=MONTHLY;BYMONTHDAY=15"),
    ("every other month on the 15th", "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=15"),
    ("every month on the last day", "FREQ=MONTHLY;BYMONTHDAY=-1"),
    ("at the end of every month", "FREQ=MONTHLY;BYMONTHDAY=-1"),
    ("every second Tuesday of the month", "FREQ=MONTHLY;BYDAY=2TU"),
    ("every 3rd Friday of each month", "FREQ=MONTHLY;BYDAY=3FR"),
    ("first and third Monday of every month", "FREQ=MONTHLY;BYDAY=1MO,3MO"),
    ("every 2 months on the first Monday", "FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO"),
    ("every last Sunday", "FREQ=MONTHLY;BYDAY=-1SU"),
    ("last working day of every month", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
    ("every month on the first weekday", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1"),
]
DAYS_OF_A_YEAR = [
    ("every 29 February", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"),
    ("the 3rd of March every year", "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=3"),
    ("annually on Sept 1st", "FREQ=YEARLY;BYMONTH=9;BYMONTHDAY=1"),
    ("every 2 years on March 3", "FREQ=YEARLY;INTERVAL=2;BYMONTH=3;BYMONTHDAY=3"),
    ("every last Sunday in March", "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"),
    ("every year on the first Monday of September", "FREQ=YEARLY;BYMONTH=9;BYDAY=1MO"),
    ("last day of every year", "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31"),
]
AFTER_COMPLETION = [
    ("3 days after completion", "FREQ=DAILY;INTERVAL=3;X-AFTER=COMPLETION"),
    ("every ten days after completion", "FREQ=DAILY;INTERVAL=10;X-AFTER=COMPLETION"),
    ("a week after completion", "FREQ=WEEKLY;X-AFTER=COMPLETION"),
    ("2 months after it is done", "FREQ=MONTHLY;INTERVAL=2;X-AFTER=COMPLETION"),
    ("1 year after completion", "FREQ=YEARLY;X-AFTER=COMPLETION"),
]
ENDS = [
    ("every day until 24 December", "FREQ=DAILY;UNTIL=20261224"),
    ("every Monday until January 31, 2027", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20270131"),
    ("daily till 2026-12-01", "FREQ=DAILY;UNTIL=20261201"),
    ("every Monday for 5 times", "FREQ=WEEKLY;BYDAY=MO;COUNT=5"),
    ("every Monday for five weeks", "FREQ=WEEKLY;BYDAY=MO;COUNT=5"),
    ("every day for 10 days", "FREQ=DAILY;COUNT=10"),
]


@pytest.mark.parametrize(
    ("phrase", "rrule"), [*HOW_OFTEN, *WEEKDAYS, *DAYS_OF_A_MONTH, *DAYS_OF_A_YEAR, *AFTER_COMPLETION, *ENDS]
)
def test_words_are_read_as_a_rule(phrase: str, rrule: str) -> None:
    assert read_repeat(phrase, WEDNESDAY) == (Rule.parse(rrule), None)


@pytest.mark.parametrize(
    ("phrase", "rrule", "local"),
    [
        ("every Monday at 8am", "FREQ=WEEKLY;BYDAY=MO", time(8)),
        ("at 8 am every Monday", "FREQ=WEEKLY;BYDAY=MO", time(8)),
        ("8:15 p.m. every Monday", "FREQ=WEEKLY;BYDAY=MO", time(20, 15)),
        ("every weekday at 9:30", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", time(9, 30)),
        ("daily at noon", "FREQ=DAILY", time(12)),
        ("every day 00:00", "FREQ=DAILY", time(0)),
        ("every morning", "FREQ=DAILY", time(9)),
        ("each evening at 8pm", "FREQ=DAILY", time(20)),
        ("every day in the afternoon", "FREQ=DAILY", time(14)),
        ("Friday evenings", "FREQ=WEEKLY;BYDAY=FR", time(18)),
        ("on weekday mornings", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", time(9)),
        ("monthly on the 1st, at 9am", "FREQ=MONTHLY;BYMONTHDAY=1", time(9)),
        ("every March 3 at 15:00", "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=3", time(15)),
        ("3 days after completion at 9am", "FREQ=DAILY;INTERVAL=3;X-AFTER=COMPLETION", time(9)),
        ("every day at 9am until Friday", "FREQ=DAILY;UNTIL=20261127", time(9)),
    ],
)
def test_words_may_hold_a_time(phrase: str, rrule: str, local: time) -> None:
    assert read_repeat(phrase, WEDNESDAY) == (Rule.parse(rrule), local)


REFUSED = [
    ("", "empty"),
    (" . ", "empty"),
    ("Monday", "belongs into due"),
    ("Tues", "belongs into due"),
    ("Monday and Thursday", "belongs into due"),
    ("the 15th", "belongs into due"),
    ("3 March", "belongs into due"),
    ("2026-12-24", "belongs into due"),
    ("next week", "belongs into due"),
    ("every Monday starting next week", "belongs into due"),
    ("hourly", "at most once a day"),
    ("every 2 hours", "at most once a day"),
    ("every second", "at most once a day"),
    ("every 30 minutes", "at most once a day"),
    ("biweekly", "two things"),
    ("bi-monthly", "two things"),
    ("twice a week", "which days"),
    ("every day 3 times", "which days"),
    ("every few days", "how often"),
    ("every couple of weeks", "how often"),
    ("every third Friday", "third Friday of every month"),
    ("every other weekday", "different days"),
    ("every other weekend", "different days"),
    ("every month on Friday", "first Friday"),
    ("every week on the 1st", "do not fit"),
    ("every year on the 15th", "do not fit"),
    ("daily on the 15th", "do not fit"),
    ("every March", "which day"),
    ("every last day", "not understood"),
    ("every first day", "not understood"),
    ("every night", "9pm"),
    ("every Friday or Saturday", "choice"),
    ("every day except Sunday", "days that are left"),
    ("every day at 5", "morning or evening"),
    ("every day at 25:00", "25:00"),
    ("every day at 13pm", "13pm"),
    ("every day at 12am", "00:00"),
    ("every day at midnight", "00:00"),
    ("every evening at 8am", "evening"),
    ("every Monday at 8am and 5pm", "more than one time"),
    ("every day until soon", "until"),
    ("every day until Friday at 9am", "until"),
    ("every weekday for 2 weeks", "5 times"),
    ("every 2 weeks for 6 weeks", "5 times"),
    ("every 0 days", "1 to 1000"),
    ("every 1001 days", "1 to 1000"),
    ("every 30 February", "no date fits"),
    ("every 32nd", "1 to 31"),
    ("every 6th Friday of the month", "1 to 5"),
    ("every -1 days", "not understood"),
    ("every \u0663 days", "not understood"),
    ("every" + " day" * 50, "at most 100"),
]


@pytest.mark.parametrize(("phrase", "reason"), REFUSED)
def test_what_is_not_in_the_list_is_refused_with_what_to_write(phrase: str, reason: str) -> None:
    with pytest.raises(NotARule) as refusal:
        read_repeat(phrase, WEDNESDAY)
    assert reason in str(refusal.value)
    assert "write" in str(refusal.value) or "for example" in str(refusal.value)
