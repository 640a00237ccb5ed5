"""The dates of a repeating task: the first one, and the task that follows when one is completed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tasks.changes.refusals import Refused
from tasks.state import TaskState
from todo_mcp.dates.repeats import read_repeat
from todo_mcp.dates.rule_parts import NotARule
from todo_mcp.dates.rules import Next, Rule
from todo_mcp.dates.zones import Clock, Due, at, find_zone, show_in_words

SHORT_MONTHS = "Months without that day are left out; for the last day of each month write FREQ=MONTHLY;BYMONTHDAY=-1."


@dataclass(frozen=True)
class Series:
    """A rule, the due date of its first task, and what the answer says about them."""

    rule: Rule
    due: Due
    notes: tuple[str, ...] = ()


def begin(phrase: str, clock: Clock, due: Due | None) -> Series:
    """The series that these words or this RRULE begin. With a due date, the first task has that date.

    Raises:
        Refused: these are no words for a rule, its time is not that of the due date, or it has no date from today on.
    """
    rule, local = _read(phrase, clock)
    if due is not None:
        if isinstance(due, datetime):
            if local is not None and local != due.time():
                raise Refused("repeat", f"its time {local:%H:%M} is not the time of due, {due:%H:%M}; send one of them")
        elif local is not None:
            due = at(due, local, clock.zone)
        if rule.is_over(*_day_and_moment(due)):
            raise Refused("repeat", "ends before the due date; send a later UNTIL, or an earlier due")
        return Series(rule, due, (*_strange_first(rule, due), *_short_months(rule, due)))
    day = rule.first(clock.today)
    if day and local is not None and clock.is_past(at(day, local, clock.zone)):
        day = rule.first(clock.today, clock.today + timedelta(days=1))
        if rule.after_completion:
            day = clock.today + timedelta(days=1)
    if day is None:
        raise Refused("repeat", "has no date from today on; send a rule whose UNTIL is later")
    first: Due = day if local is None else at(day, local, clock.zone)
    return Series(rule, first, _short_months(rule, first))


def change(phrase: str, clock: Clock, current: Due) -> Series:
    """The series that a task with a due date begins: at the first date of the rule from its own day on, from today on.

    Raises:
        Refused: these are no words for a rule, or it has no such date.
    """
    rule, local = _read(phrase, clock)
    own = current.date() if isinstance(current, datetime) else current
    day = rule.first(own, clock.today)
    if day is None:
        raise Refused("repeat", "has no date from today on; send a rule whose UNTIL is later")
    local = local or (current.time() if isinstance(current, datetime) else None)
    due: Due = day if local is None else at(day, local, clock.zone)
    return Series(rule, due, _short_months(rule, due))


def next_date(state: TaskState, clock: Clock) -> tuple[Next, Due | None]:
    """The date after now and after this occurrence's own date, and it as a due date."""
    assert state.repeat_on is not None
    rule = Rule.parse(state.repeat)
    if state.repeat_time is None:
        following = rule.next(state.repeat_on, clock.today)
        return following, following.day
    zone, series_time = find_zone(state.repeat_zone), state.repeat_time
    today = Clock(clock.now, zone).today

    def moment_of(day: date) -> datetime:
        return at(day, series_time, zone)

    # A moment of today that is still to come is after now.
    is_past = rule.after_completion or clock.is_past(moment_of(today)) or moment_of(today) == clock.now
    after = today if is_past else today - timedelta(days=1)
    following = rule.next(state.repeat_on, after, moment_of)
    return following, moment_of(following.day) if following.day else None


def follow(state: TaskState, due: Due, day: date) -> TaskState:
    """The task that follows this one in its series."""
    follower = TaskState(
        title=state.title,
        description=state.description,
        priority=state.priority,
        tags=state.tags,
        checklist=[{**item, "done": False} for item in state.checklist],
        created_at=state.completed_at,
        updated_at=state.completed_at,
        series=state.series or state.id,
        previous=state.id,
    )
    follower.set_due(due)
    move(follower, state, day)
    return follower


def move(moved: TaskState, state: TaskState, day: date) -> None:
    """Give a task of the series its own date, and one occurrence less to come."""
    rule = Rule.parse(state.repeat).after_one()
    assert rule is not None  # otherwise the series has no next date
    moved.repeat, moved.repeat_on = str(rule), day
    moved.repeat_time, moved.repeat_zone = state.repeat_time, state.repeat_zone


def left_out(following: Next, clock: Clock) -> str:
    """A sentence about the dates that were left out. Empty if there are none."""
    if not following.left_out:
        return ""
    named = [show_in_words(day, clock) for day in following.named]
    more = following.left_out - len(named)
    return f"Left out: {'; '.join(named)}{f' and {more} more' if more else ''}."


def _day_and_moment(due: Due) -> tuple[date, Callable[[date], datetime] | None]:
    if isinstance(due, datetime):
        return due.date(), lambda day: due
    return due, None


def _read(phrase: str, clock: Clock) -> tuple[Rule, time | None]:
    try:
        repeat = read_repeat(phrase, clock)
    except NotARule as error:
        raise Refused("repeat", str(error)) from None
    return repeat.rule, repeat.time


def _strange_first(rule: Rule, due: Due) -> tuple[str, ...]:
    day = due.date() if isinstance(due, datetime) else due
    return () if rule.is_occurrence(day) else ("The first date is not one of the rule's; it stays the first.",)


def _short_months(rule: Rule, due: Due) -> tuple[str, ...]:
    day = due.date() if isinstance(due, datetime) else due
    if not rule.skips_months(day):
        return ()
    return (SHORT_MONTHS if rule.frequency == "MONTHLY" else "Years without that day are left out.",)
