"""An RRULE that is sent: each part is checked, and the answer has one spelling."""

import pytest

from tests.dates.clocks import WEDNESDAY
from todo_mcp.dates.repeats import read_repeat
from todo_mcp.dates.rule_parts import LONGEST_RULE, NotARule
from todo_mcp.dates.rules import Rule


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("FREQ=DAILY", "FREQ=DAILY"),
        (" rrule:freq=weekly;byday=fr ", "FREQ=WEEKLY;BYDAY=FR"),
        ("BYDAY=FR,MO,FR;FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=MO,FR"),
        ("FREQ=DAILY;INTERVAL=1", "FREQ=DAILY"),
        ("FREQ=DAILY;INTERVAL=007", "FREQ=DAILY;INTERVAL=7"),
        ("FREQ=MONTHLY;BYDAY=+1MO,-1FR,3TU", "FREQ=MONTHLY;BYDAY=1MO,3TU,-1FR"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1,15,+1", "FREQ=MONTHLY;BYMONTHDAY=1,15,-1"),
        ("FREQ=WEEKLY;WKST=MO;BYDAY=MO", "FREQ=WEEKLY;BYDAY=MO"),
        ("FREQ=WEEKLY;WKST=SU;INTERVAL=2;BYDAY=MO", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU"),
        ("FREQ=DAILY;COUNT=1000000000", "FREQ=DAILY;COUNT=1000000000"),
        ("FREQ=DAILY;UNTIL=20261130T170000Z", "FREQ=DAILY;UNTIL=20261130T170000Z"),
        ("FREQ=YEARLY;BYDAY=20MO", "FREQ=YEARLY;BYDAY=20MO"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"),
        ("FREQ=YEARLY;BYYEARDAY=1,100,-1", "FREQ=YEARLY;BYYEARDAY=1,100,-1"),
        ("FREQ=YEARLY;BYMONTH=11,1;BYMONTHDAY=2", "FREQ=YEARLY;BYMONTH=1,11;BYMONTHDAY=2"),
        ("FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO,TU", "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1"),
        ("X-AFTER=COMPLETION;FREQ=WEEKLY", "FREQ=WEEKLY;X-AFTER=COMPLETION"),
        ("FREQ=DAILY;X-AFTER=COMPLETION;COUNT=3", "FREQ=DAILY;COUNT=3;X-AFTER=COMPLETION"),
    ],
)
def test_an_rrule_is_answered_in_one_spelling(sent: str, answered: str) -> None:
    repeat = read_repeat(sent, WEDNESDAY)

    assert (str(repeat.rule), repeat.time) == (answered, None)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("=", "no part"),
        ("FREQ=", "FREQ"),
        ("FREQ=HOURLY", "FREQ"),
        ("FREQ=DAILY;", "no part"),
        ("FREQ=DAILY;;COUNT=3", "no part"),
        ("FREQ=DAILY;COUNT", "no part"),
        ("FREQ=DAILY;BYEASTER=0", "no part"),
        ("FREQ=DAILY;X-OTHER=1", "no part"),
        ("FREQ=DAILY COUNT=3", "one line"),
        ("DTSTART:20261125\nRRULE:FREQ=DAILY", "DTSTART"),
        ("RRULE:FREQ=DAILY\nEXDATE:20261126", "EXDATE"),
        ("RRULE:RRULE:FREQ=DAILY", "one RRULE"),
        ("FREQ=DAILY;COUNT=3;COUNT=3", "twice"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "COUNT and UNTIL"),
        *((f"FREQ=DAILY;BY{unit}=0", "due") for unit in ("HOUR", "MINUTE", "SECOND")),
        *((f"FREQ=DAILY;INTERVAL={value}", "INTERVAL") for value in ("", "0", "-1", "1.5", "1001", "9" * 50, "\u0663")),
        *((f"FREQ=DAILY;COUNT={value}", "COUNT") for value in ("0", "-5", "1e9", "9" * 11)),
        *((f"FREQ=DAILY;UNTIL={value}", "UNTIL") for value in ("2026", "20260230", "2026-12-24", "20261224T100000")),
        *((f"FREQ=DAILY;UNTIL={value}", "UNTIL") for value in ("20261224T250000Z", "18991231", "99991231")),
        *((f"FREQ=YEARLY;BYMONTH={value}", "BYMONTH") for value in ("0", "13", "-1", "JAN", "1,", ",")),
        *((f"FREQ=MONTHLY;BYMONTHDAY={value}", "BYMONTHDAY") for value in ("0", "32", "-32", "1-5")),
        *((f"FREQ=YEARLY;BYYEARDAY={value}", "BYYEARDAY") for value in ("0", "367", "-367")),
        *((f"FREQ=YEARLY;BYDAY=MO;BYWEEKNO={value}", "BYWEEKNO") for value in ("0", "54", "-54")),
        *((f"FREQ=WEEKLY;BYDAY={value}", "BYDAY") for value in ("XX", "MO;TU=", "", "MOTU", "1MO", "MO,")),
        *((f"FREQ=MONTHLY;BYDAY={value}", "BYDAY") for value in ("0MO", "6MO", "-6MO", "100MO")),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=6MO", "BYDAY"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYDAY"),
        ("FREQ=YEARLY;BYWEEKNO=20", "BYDAY"),
        ("FREQ=DAILY;BYDAY=1MO", "BYDAY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY"),
        ("FREQ=MONTHLY;BYWEEKNO=1;BYDAY=MO", "BYWEEKNO"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=WEEKLY;BYDAY=MO;BYSETPOS=8", "BYSETPOS"),
        ("FREQ=WEEKLY;WKST=XX", "WKST"),
        ("FREQ=DAILY;X-AFTER=LUNCH", "X-AFTER"),
        ("FREQ=WEEKLY;BYDAY=MO;X-AFTER=COMPLETION", "X-AFTER"),
        ("FREQ=DAILY;BYMONTHDAY=" + ",".join(["1"] * LONGEST_RULE), "characters"),
    ],
)
def test_a_wrong_part_is_refused_by_name_with_an_example(sent: str, named: str) -> None:
    with pytest.raises(NotARule, match=named) as refusal:
        read_repeat(sent, WEDNESDAY)
    assert "for example" in str(refusal.value) or "write" in str(refusal.value)


@pytest.mark.parametrize(
    "sent",
    [
        *(f"FREQ={frequency};BYMONTH=2;BYMONTHDAY=30" for frequency in ("DAILY", "MONTHLY", "YEARLY")),
        "FREQ=YEARLY;BYMONTH=4,6,9,11;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=-30,30",
        "FREQ=MONTHLY;BYMONTH=2;BYDAY=MO;BYMONTHDAY=30,31",
        "FREQ=YEARLY;BYYEARDAY=100;BYMONTH=12",
        "FREQ=YEARLY;BYYEARDAY=1;BYMONTHDAY=2",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;BYMONTH=1",
        "FREQ=YEARLY;BYDAY=53MO;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYMONTHDAY=15;BYSETPOS=2",
        "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3",
        "FREQ=YEARLY;BYMONTH=1;BYSETPOS=2",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=8",
    ],
)
def test_a_rule_that_never_happens_is_refused(sent: str) -> None:
    with pytest.raises(NotARule, match="no date fits"):
        Rule.parse(sent)
