"""update_task with due: what a task keeps of its date, how far it moves, and what is refused."""

from typing import Any

import pytest

from tests.support.tool_user import ToolUser
from tests.tasks.conftest import At

DAY, MOMENT = "2026-11-25", "2026-11-25T14:00"  # a Wednesday


@pytest.mark.parametrize(
    ("before", "phrase", "after", "said"),
    [
        (None, "friday", "2026-11-27", "due Friday 27 November 2026"),
        (None, "friday 9am", "2026-11-27T09:00+01:00", "09:00 (Europe/Berlin)"),
        (DAY, "friday", "2026-11-27", "due Friday 27 November 2026"),
        (DAY, "9am", "2026-11-25T09:00+01:00", "It keeps its day."),
        (MOMENT, "friday", "2026-11-27T14:00+01:00", "It keeps its time."),
        (MOMENT, "15:30", "2026-11-25T15:30+01:00", "It keeps its day."),
        (MOMENT, "friday 9am", "2026-11-27T09:00+01:00", "due Friday"),
        (MOMENT, "today", "2026-11-21", "due today"),  # 14:00 of today is past
        (DAY, "+3 days", "2026-11-28", "due Saturday"),
        (MOMENT, "+3 days", "2026-11-28T14:00+01:00", "due Saturday"),
        (MOMENT, "-1 week", "2026-11-18T14:00+01:00", "It is overdue."),
        ("2027-01-31", "+1 month", "2027-02-28", "due Sunday"),
        (MOMENT, "+2 hours", "2026-11-25T16:00+01:00", "16:00"),
        (MOMENT, "-30 minutes", "2026-11-25T13:30+01:00", "13:30"),
        ("2027-03-27T14:00", "+1 day", "2027-03-28T14:00+02:00", "14:00"),  # over the clock change
        ("2027-03-27T14:00", "+24 hours", "2027-03-28T15:00+02:00", "15:00"),
        (DAY, "none", None, "Updated due of task"),
        (DAY, "2026-11-20", "2026-11-20", "It is overdue."),
    ],
)
def test_a_due_date_changes_as_asked(
    me: ToolUser, before: str | None, phrase: str, after: str | None, said: str
) -> None:
    task_id = me.add(due=before)["task_id"]
    data = me.update(task_id=task_id, due=phrase)
    assert (data.get("due"), data["updated_fields"]) == (after, ["due"])
    assert said in data["message"]
    if after:
        assert (data["now"], data["weekday"], data["time_zone"]) == (
            "2026-11-21T17:05+01:00",
            "Saturday",
            "Europe/Berlin",
        )
    row = me.row(task_id)
    assert (row["due_on"] is None) or (row["due_at"] is None)
    restored = me.undo(data["undo"])["tasks"][0]
    assert restored.get("due") == (f"{before}+01:00" if before and "T" in before else before)


@pytest.mark.parametrize(
    ("before", "arguments", "field"),
    [
        (None, {"due": "+1 day"}, "due"),
        (None, {"due": "+1 day", "add_tags": ["x"]}, "due"),
        (DAY, {"due": "+2 hours"}, "due"),
        (DAY, {"due": "skip"}, "due"),
        (DAY, {"due": "someday"}, "due"),
        (DAY, {"due": "+9999999 days"}, "due"),
        (DAY, {"due": "friday", "clear": ["due"]}, "clear"),
        (DAY, {"due": "none", "repeat": "every day"}, "due"),
        (DAY, {"repeat": "every day", "clear": ["due"]}, "clear"),
        (DAY, {"repeat": "every day", "clear": ["repeat"]}, "clear"),
        (DAY, {"repeat": "every day at 8am", "due": "tomorrow 9am"}, "repeat"),
    ],
)
def test_what_a_task_cannot_take_is_refused_by_name(
    me: ToolUser, before: str | None, arguments: dict[str, Any], field: str
) -> None:
    task_id = me.add(due=before)["task_id"]
    me.invalid("update_task", field, task_id=task_id, **arguments)


def test_a_due_date_that_is_sent_again_changes_nothing_and_is_answered(me: ToolUser) -> None:
    task_id = me.add(due=DAY)["task_id"]
    data = me.update(task_id=task_id, due="wednesday")
    assert (data["updated_fields"], data["due"], data["weekday"]) == ([], DAY, "Saturday")
    assert "undo" not in data
    assert me.row(task_id)["version"] == 1


def test_clearing_the_time_makes_a_moment_a_day_and_clearing_due_ends_the_repeat(me: ToolUser) -> None:
    task_id = me.add(repeat="every wednesday at 2pm")["task_id"]
    data = me.update(task_id=task_id, clear=["time"])
    assert (data["due"], data["updated_fields"]) == (DAY, ["due"])
    assert me.row(task_id)["repeat_time"] is None
    data = me.update(task_id=task_id, clear=["due"])
    assert (data["updated_fields"], me.row(task_id)["repeat"]) == (["due", "repeat"], "")


@pytest.mark.parametrize("change", [{"due": "tomorrow 10am"}, {"due": "9am"}, {"repeat": "every day at 8am"}])
@pytest.mark.parametrize("due", [None, DAY, MOMENT])
def test_a_time_is_not_cleared_by_the_call_that_sets_it(me: ToolUser, due: str | None, change: dict[str, str]) -> None:
    task_id = me.add(due=due)["task_id"]
    me.invalid("update_task", "clear", task_id=task_id, clear=["time"], **change)


def test_a_new_day_and_a_cleared_time_go_together(me: ToolUser) -> None:
    task_id = me.add(due=MOMENT)["task_id"]
    assert me.update(task_id=task_id, due="2026-12-01", clear=["time"])["due"] == "2026-12-01"


def test_many_tasks_move_each_from_its_own_day(me: ToolUser) -> None:
    ids = [me.add(due=due)["task_id"] for due in (DAY, None, MOMENT)]
    data = me.update(task_ids=[*ids, 99], due="+1 day")
    assert [task["due"] for task in data["tasks"]] == ["2026-11-26", "2026-11-26T14:00+01:00"]
    assert (data["not_changed"], data["not_found"]) == ([ids[1]], [99])
    me.undo(data["undo"])
    assert str(me.row(ids[0])["due_on"]) == DAY
    refusal = me.invalid("update_task", "due", task_ids=ids, due="+2 hours")
    assert f"task {ids[0]}" in refusal["fields"]["due"]
    me.invalid("update_task", "due", task_ids=[ids[1], 99], due="+1 day")


def test_a_time_that_is_past_is_read_at_the_moment_of_the_call(me: ToolUser, at: At) -> None:
    at("2026-11-21T21:30+01:00")
    task_id = me.add(due=DAY)["task_id"]
    me.invalid("update_task", "due", task_id=task_id, due="tonight")
    assert me.update(task_id=task_id, due="today")["due"] == "2026-11-21"


def test_the_same_moment_in_a_repeated_hour_changes_nothing(me: ToolUser) -> None:
    task_id = me.add(due="2027-10-31T02:30")["task_id"]
    data = me.update(task_id=task_id, due="2027-10-31T02:30")
    assert (data["updated_fields"], data["version"]) == ([], 1)
    assert "undo" not in data
